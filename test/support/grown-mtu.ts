/**
 * Receives datagrams with the live driver before and after the MTU of its interface has grown; prints the length of each.
 * Run it in a separate network namespace.
 */
import { execFileSync } from 'node:child_process';
import { linkFacts } from '../../src/host/link-facts.ts';
import { openLive } from '../../src/io/live.ts';
import { PacketSocket } from '../../src/sys/packet-socket.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';

const ip = (...args: string[]) => execFileSync('ip', args);
const NOTHING = [[0x06, 0, 0, 0]] as const;
const RECEIVER = '020000000001';
const SENDER = '020000000002';

ip('link', 'add', 'v0', 'address', '02:00:00:00:00:01', 'type', 'veth', 'peer', 'name', 'v1');
for (const name of ['v0', 'v1']) ip('link', 'set', name, 'up');
const system = await loadSystem();
const live = await openLive({ interfaces: ['v0'], tick: 5, clock: () => performance.now(), system });
using socket = new PacketSocket(system, {
  interfaceIndex: linkFacts('v1')!.index,
  protocol: 0,
  filter: NOTHING,
  frameBytes: 65_536,
});

/** Sends datagrams until one is received, and prints its length. */
async function passOn(payload: number): Promise<void> {
  const packet = Buffer.from(packetOfLine(`192.0.2.1:1000 > 192.0.2.80:7 UDP len=${payload}`));
  const frame = Buffer.concat([Buffer.from(`${RECEIVER}${SENDER}0800`, 'hex'), packet]);
  const ending = new AbortController();
  let received = 0;
  const sending = setInterval(() => {
    socket.buffer.bytes.set(frame);
    socket.send(frame.length);
  }, 20);
  while (received === 0 && (await live.ready(ending.signal)))
    live.receive(({ length }) => {
      if (length === packet.length) received++;
    }, 128);
  clearInterval(sending);
  process.stdout.write(`received ${payload}\n`);
}

await passOn(100);
for (const name of ['v0', 'v1']) ip('link', 'set', name, 'mtu', '9000');
await passOn(4000);
await passOn(101);
process.exit(0);
