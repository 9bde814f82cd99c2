/** Formats connections like `ipvsadm -L -c`, a chunk at a time. */
import type { Protocol } from '../model/service.ts';
import type { ConnectionSnapshot } from '../model/snapshot.ts';
import type { EndpointText } from './text.ts';

const TITLE = 'IPVS connection entries\n';
const HEAD = 'pro expire state       source             virtual            destination';
const ENGINE_HEAD = '        pe name          pe_data';

const PROTOCOLS: Readonly<Partial<Record<ConnectionSnapshot['protocol'], Protocol>>> = {
  TCP: 'tcp',
  UDP: 'udp',
  SCTP: 'sctp',
};

/** Returns the text of the listing; one part per chunk. */
export async function* listConnections(
  chunks: AsyncIterable<readonly ConnectionSnapshot[]>,
  withEngine: boolean,
  text: EndpointText,
): AsyncGenerator<string> {
  yield `${TITLE}${HEAD}${withEngine ? ENGINE_HEAD : ''}\n`;
  for await (const chunk of chunks) {
    let lines = '';
    for (const connection of chunk) {
      const protocol = PROTOCOLS[connection.protocol];
      const source = text(connection.clientAddress, connection.clientPort, protocol);
      const virtual = text(connection.virtualAddress, connection.virtualPort, protocol);
      const destination = text(connection.destinationAddress, connection.destinationPort, protocol);
      lines += row(
        connection,
        typeof source === 'string' ? source : await source,
        typeof virtual === 'string' ? virtual : await virtual,
        typeof destination === 'string' ? destination : await destination,
        withEngine,
      );
    }
    if (lines !== '') yield lines;
  }
}

function row(
  { protocol, expires, state, engine, engineData }: ConnectionSnapshot,
  source: string,
  virtual: string,
  destination: string,
  withEngine: boolean,
): string {
  const minutes = Math.floor(expires / 60)
    .toString()
    .padStart(2, '0');
  const seconds = (expires % 60).toString().padStart(2, '0');
  const left = `${protocol.padEnd(3)} ${`${minutes}:${seconds}`.padEnd(6)} ${state.padEnd(11)} ${source.padEnd(18)} `;
  if (!withEngine || engine === undefined) return `${left}${virtual.padEnd(18)} ${destination}\n`;
  return `${left}${virtual.padEnd(18)} ${destination.padEnd(16)} ${engine.padEnd(18)} ${engineData ?? ''}\n`;
}
