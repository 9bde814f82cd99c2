/** Whether the messages of a sync daemon are the recorded ones. */
import { SyncEntry } from '../../src/sync/entry.ts';
import * as v0 from '../../src/sync/message-v0.ts';
import * as v1 from '../../src/sync/message-v1.ts';
import { formatEndpoint } from '../../src/wire/address.ts';
import type { Golden } from '../support/golden.ts';
import type { Difference } from './compare.ts';
import { dissect } from './dissect.ts';
import type { SyncMessage } from './world.ts';

const UDP_BYTES = 8;
const HEADER_BYTES = { 4: 20, 6: 40 } as const;

/**
 * Compares messages, or else the entries of all messages in their order: when exactly the kernel's thread looks for a message
 * that is 2 s old is arbitrary, and so is whether the next entries are in it. With `isUnordered` they come in any order.
 * The source is not compared: it is an address of the host, and a port that the host chose.
 */
export function compareSync(
  expected: NonNullable<Golden['sync']>,
  got: readonly SyncMessage[],
  isUnordered: boolean,
): Difference {
  const recorded = expected.map(({ hex }) => messageOf(Buffer.from(hex, 'hex')));
  const theirs = recorded.map(lineOf);
  const ours = got.map(lineOf);
  const at = Array.from({ length: Math.max(theirs.length, ours.length) }, (_, i) => i).find(
    (i) => theirs[i] !== ours[i],
  );
  if (at === undefined) return undefined;
  const [left, right] = [recorded, got].map((all) => all.flatMap(entriesOf));
  if (isUnordered) [left, right].map((all) => all!.sort());
  if (left!.join() === right!.join()) return undefined;
  const text = (message: SyncMessage | undefined) =>
    message === undefined
      ? 'no message'
      : `${message.group}:${message.port} ${entriesOf(message).join(', ')}`;
  return `message ${at} of ${theirs.length}/${ours.length}: expected ${text(recorded[at])} got ${text(got[at])}`;
}

const lineOf = ({ group, port, ttl, payload }: SyncMessage): string => `${group} ${port} ${ttl} ${payload}`;

/** The message in an IP packet. */
function messageOf(packet: Buffer): SyncMessage {
  const it = dissect(packet)!;
  return {
    group: it.dst,
    port: it.dstPort!,
    ttl: it.ttl,
    payload: packet.subarray(HEADER_BYTES[it.version === 6 ? 6 : 4] + UDP_BYTES).toString('hex'),
  };
}

/** The entries of a message, one line each. */
function entriesOf({ payload }: SyncMessage): string[] {
  const message = Buffer.from(payload, 'hex');
  const entry = new SyncEntry();
  const lines: string[] = [];
  const take = () => {
    const { protocol, flags, state, cport, vport, dport, mark, timeout, caddr, vaddr, daddr } = entry;
    lines.push(
      `${protocol} ${flags.toString(16)} ${state} ${formatEndpoint(caddr, cport)} ${formatEndpoint(vaddr, vport)} ${formatEndpoint(daddr, dport)} mark=${mark} ${timeout}s ${entry.engine ?? ''} ${entry.engineData ?? ''}`,
    );
  };
  if (message[0] === 0) v1.readEntries(message, entry, take, take);
  else v0.readEntries(message, entry, take);
  return lines;
}
