/**
 * Sends datagrams of one flow at a steady rate through a raw socket, and prints the number that the kernel accepted.
 *
 *   node dist/bench/load/udp-generator.js --from 192.168.0.200 --to 192.168.0.101 --port 9 --rate 50000 --seconds 1
 */
import { parseArgs } from 'node:util';
import { openRawSender } from '../../src/io/raw-socket.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { complement, neverZero, pseudoSum, sum } from '../../src/wire/checksum.ts';
import { Frame } from '../../src/wire/frame.ts';
import { DONT_FRAGMENT, IPV4_HEADER, ipv4 } from '../../src/wire/ipv4.ts';
import { UDP, UDP_HEADER, udp } from '../../src/wire/udp.ts';

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '' },
    to: { type: 'string', default: '' },
    port: { type: 'string', default: '9' },
    octets: { type: 'string', default: '64' },
    rate: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '1' },
  },
});
const SOURCE_PORT = 40_000;
const TTL = 64;
/** Packets per read of the clock. */
const BURST_PACKETS = 8;

const [from, to] = [parseAddress(values.from), parseAddress(values.to)];
if (!from || !to) throw new Error('--from and --to: expected IPv4 addresses');
const frame = new Frame(1500);
const length = UDP_HEADER + Number(values.octets);
const at = frame.start + IPV4_HEADER;
frame.end = at + length;
ipv4.write(frame, frame.start, {
  totalLength: IPV4_HEADER + length,
  fragment: DONT_FRAGMENT,
  ttl: TTL,
  protocol: UDP,
  src: from,
  dst: to,
});
udp.write(frame, at, SOURCE_PORT, Number(values.port), length);
const pseudo = pseudoSum(from, to, UDP, length);
udp.setChecksum(frame, at, neverZero(complement(sum(frame.view, at, frame.end, pseudo))));

const sender = await openRawSender(4);
const rate = Number(values.rate);
const start = performance.now();
const end = start + Number(values.seconds) * 1000;
let sent = 0;
let taken = 0;
for (let now = start; now < end; now = performance.now()) {
  const due = Math.floor(((now - start) / 1000) * rate);
  for (let i = 0; i < BURST_PACKETS && sent < due; i++, sent++)
    if (sender.send(frame.bytes, frame.start, frame.length, values.to)) taken++;
}
process.stdout.write(`${taken} in ${performance.now() - start} ms\n`);
process.exit();
