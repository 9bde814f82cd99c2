/** Prints every ARP message that an interface sends or hears, a line each: request|reply, who says it, whom it is about. */
import { CAPTURE_OFFSET, openCapture } from '../../src/io/pcap.ts';
import { addressFromV4, formatAddress } from '../../src/wire/address.ts';
import { ARP_REQUEST, arp, isArp } from '../../src/wire/arp.ts';
import { ETHERNET_HEADER } from '../../src/wire/ethernet.ts';
import { Frame } from '../../src/wire/frame.ts';

const [device = 'eth0'] = process.argv.slice(2);
const frame = new Frame(2048);
const text = (word: number) => formatAddress(addressFromV4(word >>> 0));
const capture = await openCapture(
  { interface: device, filter: 'arp', snapLength: 256, bufferOctets: 1 << 20, bufferTimeout: 0 },
  (captured) => {
    frame.load(capture.bytes.subarray(CAPTURE_OFFSET, CAPTURE_OFFSET + captured));
    const at = frame.start + ETHERNET_HEADER;
    if (!isArp(frame, at, frame.end)) return;
    const operation = arp.operation(frame, at) === ARP_REQUEST ? 'request' : 'reply';
    process.stdout.write(`${operation} ${text(arp.senderIp(frame, at))} ${text(arp.targetIp(frame, at))}\n`);
  },
);
process.stdout.write('watching\n');
