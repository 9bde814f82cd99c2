/**
 * Sends packets of known connections at a steady rate, and with `--flood` TCP SYNs that nothing follows, or with `--flags ACK` ACKs
 * of connections that the director does not know, from addresses that no host has: at a steady rate, too, or with rate 0 as fast as one processor makes them. Prints `open` when the known connections are open,
 * starts at a line of standard input, and prints in the end what it sent: `{"known":18000,"syns":262000,"ms":2000}`.
 *
 *   node dist/test/support/syn-flood.js --mac DIRECTOR_MAC --to 192.168.0.101 --known 9000 --seconds 2 --flood 3000
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { linkFacts } from '../../src/host/link-facts.ts';
import { PacketSocket } from '../../src/sys/packet-socket.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { change32, update } from '../../src/wire/checksum.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { ethernetOf } from './packets.ts';

const { values } = parseArgs({
  options: {
    interface: { type: 'string', default: 'eth0' },
    mac: { type: 'string', default: '' },
    to: { type: 'string', default: '' },
    /** packets of known connections per second */
    known: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '1' },
    /** packets of the flood per second */
    flood: { type: 'string' },
    /** their TCP flags */
    flags: { type: 'string', default: 'SYN' },
  },
});
/** Drops everything: the socket only sends (BPF_RET, 0). */
const NOTHING = [[0x06, 0, 0, 0]] as const;
/** Known connections, by the client's port. */
const KNOWN_CONNECTIONS = 100;
const FIRST_PORT = 1024;
/** Addresses and ports of the flood: 192.168.0.210 to .249. */
const FLOOD_ADDRESSES = 40;
const FLOOD_PORTS = 60_000;
/** SYNs between two reads of the clock. */
const BURST_PACKETS = 16;
/** ms after which the director has handled the packets that open a connection. */
const SETTLED_MS = 500;
/* Offsets in an Ethernet frame with IPv4 and TCP: checksum of IPv4, source address, source port, checksum of TCP. */
const CHECKSUM = 24;
const SOURCE = 26;
const SOURCE_PORT = 34;
const TCP_CHECKSUM = 50;

const system = await loadSystem();
using socket = new PacketSocket(system, {
  interfaceIndex: system.interfaceIndex(values.interface),
  protocol: 0,
  filter: NOTHING,
  frameBytes: 2048,
});
const macs = [parseMac(values.mac)!, parseMac(linkFacts(values.interface)!.mac)!] as const;
const frameOf = (client: string, words: string) =>
  ethernetOf(packetOfLine(`${client} > ${values.to}:80 TCP ${words}`), ...macs);

const send = (frame: Uint8Array): void => {
  socket.buffer.bytes.set(frame);
  socket.send(frame.length);
};

const known = (words: string) =>
  Array.from({ length: KNOWN_CONNECTIONS }, (_, i) => frameOf(`192.168.0.200:${FIRST_PORT + i}`, words));
const acks = known('ACK len=64');

const first = frameOf(`192.168.0.210:${FIRST_PORT}`, values.flags);
const { view } = socket.buffer;
/** Writes the source of the flood's packet into the frame that is sent, with its checksums. */
function sendSyn(number: number): void {
  socket.buffer.bytes.set(first);
  const source = view.getUint32(SOURCE) + (number % FLOOD_ADDRESSES);
  const change = change32(view.getInt32(SOURCE), source | 0);
  update(view, CHECKSUM, change);
  update(view, TCP_CHECKSUM, change);
  view.setUint32(SOURCE, source);
  const port = FIRST_PORT + (Math.floor(number / FLOOD_ADDRESSES) % FLOOD_PORTS);
  update(view, TCP_CHECKSUM, change32(view.getUint16(SOURCE_PORT), port));
  view.setUint16(SOURCE_PORT, port);
  socket.send(first.length);
}

const rate = Number(values.known);
if (rate > 0)
  for (const words of ['SYN', 'ACK']) {
    for (const frame of known(words)) send(frame);
    await sleep(SETTLED_MS);
  }
process.stdout.write('open\n');
await once(process.stdin, 'data');
process.stdin.destroy();
const floodRate = values.flood === undefined ? -1 : Number(values.flood) || Number.POSITIVE_INFINITY;
const began = performance.now();
const end = began + Number(values.seconds) * 1000;
let sent = 0;
let syns = 0;
// Other clients in each run: connections of an earlier one are known.
const firstNumber = Math.floor(Math.random() * FLOOD_ADDRESSES * FLOOD_PORTS);
for (let now = began; now < end; now = performance.now()) {
  const due = Math.floor(((now - began) / 1000) * rate);
  for (; sent < due; sent++) send(acks[sent % KNOWN_CONNECTIONS]!);
  const synsDue = ((now - began) / 1000) * floodRate;
  if (syns >= synsDue) await sleep(1);
  else for (let i = 0; i < BURST_PACKETS; i++) sendSyn(firstNumber + syns++);
}
process.stdout.write(`${JSON.stringify({ known: sent, syns, ms: performance.now() - began })}\n`);
