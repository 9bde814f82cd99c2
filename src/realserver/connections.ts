/** Counts the TCP connections of this host by their local ends, as the kernel lists them. */

import { readHostFile } from '../host/host-file.ts';
import { parseAddress } from '../wire/address.ts';

/** State TCP_LISTEN and TCP_TIME_WAIT in the column st (include/net/tcp_states.h). */
const NOT_OPEN = new Set(['0A', '06']);
const LOCAL = 1;
const STATE = 3;

/** Returns the open connections whose local end is one of these. Port 0, or none: any port. */
export function openConnections(
  ends: readonly { readonly address: string; readonly port?: number }[],
): number {
  const wanted = new Set(
    ends.flatMap(({ address, port = 0 }) =>
      hexOf(address).map((text) => (port ? `${text}:${hexPort(port)}` : text)),
    ),
  );
  let count = 0;
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of linesOf(file)) {
      const columns = line.trim().split(/\s+/);
      const local = columns[LOCAL] ?? '';
      const isWanted = wanted.has(local) || wanted.has(local.split(':')[0]!);
      if (isWanted && !NOT_OPEN.has(columns[STATE] ?? '')) count++;
    }
  return count;
}

function linesOf(file: string): string[] {
  try {
    return readHostFile(file).split('\n').slice(1);
  } catch {
    return []; // without IPv6
  }
}

const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');

/** Words as the kernel prints them: in host byte order. An IPv4 address also appears as mapped to IPv6. */
function hexOf(text: string): string[] {
  const address = parseAddress(text);
  if (!address) return [];
  const view = new DataView(new ArrayBuffer(4));
  const words = [...address].map((word) => {
    view.setUint32(0, word);
    return view.getUint32(0, true).toString(16).toUpperCase().padStart(8, '0');
  });
  return text.includes(':') ? [words.join('')] : [words[3]!, words.join('')];
}
