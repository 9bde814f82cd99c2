/**
 * `lvs-director capture`: writes packets of one service, before and after forwarding, as a pcapng file with
 * comments.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { PacketApi } from '../../control/director-api.ts';
import type { CapturedPacket } from '../../model/capture.ts';
import { LvsError } from '../../model/errors.ts';
import { formatService } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { LINKTYPE_RAW } from '../../wire/pcap-file.ts';
import { pcapngHeader, pcapngPacket } from '../../wire/pcapng-file.ts';

export interface CaptureOptions {
  readonly service: ServiceAddress;
  /** `-`: stdout. */
  readonly write: string;
  /** Number of packets of the service after which it ends; missing: at the signal. */
  readonly count?: number;
  readonly signal: AbortSignal;
  readonly report: (line: string) => void;
}

/** Numbers of the interfaces in the file. */
const RECEIVED = 0;
const SENT = 1;
const STDOUT = 1;

/** Resolves with the number of received packets. */
export async function capture(api: PacketApi, options: CaptureOptions): Promise<number> {
  const { service, write, count = Number.POSITIVE_INFINITY, signal, report } = options;
  let file: number | undefined;
  let isRead = true;
  let received = 0;
  let missed = 0;
  try {
    for await (const lot of until(api.capture(service), signal)) {
      // The file is not truncated before the director has found the service.
      if (file === undefined) {
        file = open(write);
        isRead = put(file, pcapngHeader(LINKTYPE_RAW, ['received', 'sent']));
        report(`capturing ${formatService(service)}`);
      }
      missed += lot.missed;
      for (const packet of lot.packets.slice(0, count - received)) {
        received++;
        for (const octets of recordsOf(packet, service)) isRead &&= put(file, octets);
      }
      if (received >= count || !isRead) break;
    }
  } finally {
    if (file !== undefined && file !== STDOUT) closeSync(file);
  }
  report(`${received} packets${missed > 0 ? `, ${missed} discarded because the buffer was full` : ''}`);
  return received;
}

function open(path: string): number {
  if (path === '-') return STDOUT;
  try {
    return openSync(path, 'w');
  } catch (cause) {
    throw new LvsError('IO', (cause as Error).message, { cause });
  }
}

/**
 * Writes to the file; returns false when its reader closed it. Throws LvsError IO, for example when the disk
 * is full.
 */
function put(file: number, octets: Uint8Array): boolean {
  try {
    for (let at = 0; at < octets.length; ) at += writeSync(file, octets, at);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EPIPE') return false;
    throw new LvsError('IO', `capture: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function recordsOf(packet: CapturedPacket, service: ServiceAddress): Uint8Array[] {
  const { at, octets, verdict, connection, sent } = packet;
  const whose = `service ${formatService(service)}${connection ? `; connection ${connection}` : ''}`;
  return [
    pcapngPacket(Buffer.from(octets, 'base64'), at, RECEIVED, `verdict ${verdict}; ${whose}`),
    ...sent.map((each) =>
      pcapngPacket(Buffer.from(each.octets, 'base64'), at, SENT, `next hop ${each.nextHop}; ${whose}`),
    ),
  ];
}

/** Yields the items of the source until the signal. */
async function* until<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const ended = new Promise<{ readonly done: true; readonly value: undefined }>((resolve) => {
    const end = () => resolve({ done: true, value: undefined });
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
  for (;;) {
    const { done, value } = await Promise.race([iterator.next(), ended]);
    if (done || value === undefined) return;
    yield value;
  }
}
