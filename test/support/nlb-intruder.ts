/**
 * A stranger on the segment of a cluster: records heartbeats, and sends to a host what is none, or none any more: the recorded
 * ones again, parts of them, changed ones, noise, and the largest datagrams, and then many of all from many addresses.
 * Prints `recorded` before it sends, and `sent`. For a line of its input it sends everything once more.
 *
 *   node dist/test/support/nlb-intruder.js --group 239.255.0.101 --via 192.168.0.1 --to 192.168.0.3 --from 192.168.0.20
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { HEARTBEAT_PORT } from '../../src/nlb/cluster-address.ts';

const RECORDED = 10;
const FLOOD = 20_000;
const LARGEST = 65_507;
const TAG_BYTES = 16;

const { values } = parseArgs({
  options: {
    group: { type: 'string' },
    via: { type: 'string' },
    to: { type: 'string' },
    from: { type: 'string', multiple: true, default: [] },
  },
});

const recorder = createSocket('udp4');
recorder.bind(HEARTBEAT_PORT);
await once(recorder, 'listening');
recorder.addMembership(values.group!, values.via);
const recorded: Buffer[] = [];
while (recorded.length < RECORDED) recorded.push((await once(recorder, 'message'))[0] as Buffer);
recorder.close();

const senders = values.from.map((address) => createSocket('udp4').bind({ address }));
await Promise.all(senders.map((sender) => once(sender, 'listening')));
const send = (sender: Socket, datagram: Buffer) =>
  new Promise<void>((resolve) => {
    sender.send(datagram, HEARTBEAT_PORT, values.to, () => resolve());
  });

const changed = recorded.flatMap((beat) =>
  [4, 9, 16, beat.length - TAG_BYTES, beat.length - 1].map((at) => {
    const copy = Buffer.from(beat);
    copy[at]! ^= 1;
    return copy;
  }),
);
const first = recorded[0]!;
const hostile = [
  ...recorded,
  ...changed,
  ...Array.from(first, (_, length) => first.subarray(0, length)),
  ...[0, 1, 4, 100, 1400].map((length) => randomBytes(length)),
  randomBytes(LARGEST),
  Buffer.concat([first, Buffer.alloc(LARGEST - first.length)]),
];

async function attack(): Promise<void> {
  for (const datagram of hostile) await send(senders[0]!, datagram);
  for (let i = 0; i < FLOOD; i++) await send(senders[i % senders.length]!, changed[i % changed.length]!);
  process.stdout.write('sent\n');
}

process.stdout.write('recorded\n');
createInterface({ input: process.stdin })
  .on('line', () => void attack())
  .on('close', () => process.exit());
