/**
 * Prints every ARP or neighbor discovery message that an interface sends or receives, one per line:
 * request|reply (ARP) or solicitation|advertisement (IPv6), the sender and the target.
 */
import { CAPTURE_OFFSET, openCapture } from '../../src/io/pcap.ts';
import { type Address, addressFromV4, formatAddress } from '../../src/wire/address.ts';
import { ARP_REQUEST, arp, isArp } from '../../src/wire/arp.ts';
import { ETHERNET_HEADER, ETHERTYPE_ARP } from '../../src/wire/ethernet.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ICMP6 } from '../../src/wire/icmp6.ts';
import { isNdp, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, ndp } from '../../src/wire/ndp.ts';
import { Packet } from '../../src/wire/packet.ts';

const [device = 'eth0'] = process.argv.slice(2);
const frame = new Frame(2048);
const packet = new Packet();
const target: Address = new Uint32Array(4);
const text = (word: number) => formatAddress(addressFromV4(word >>> 0));
const print = (line: string) => process.stdout.write(`${line}\n`);

function tellArp(at: number): void {
  if (!isArp(frame, at, frame.end)) return;
  const operation = arp.operation(frame, at) === ARP_REQUEST ? 'request' : 'reply';
  print(`${operation} ${text(arp.senderIp(frame, at))} ${text(arp.targetIp(frame, at))}`);
}

function tellNdp(at: number): void {
  frame.start = at;
  if (!packet.decode(frame) || packet.protocol !== ICMP6) return;
  if (!isNdp(frame, packet.transport, packet.end)) return;
  const { icmpType } = packet;
  if (icmpType !== NEIGHBOR_SOLICITATION && icmpType !== NEIGHBOR_ADVERTISEMENT) return;
  ndp.readTarget(frame, packet.transport, target);
  const operation = icmpType === NEIGHBOR_SOLICITATION ? 'solicitation' : 'advertisement';
  print(`${operation} ${formatAddress(packet.src)} ${formatAddress(target)}`);
}

const capture = await openCapture(
  { interface: device, filter: 'arp or icmp6', snapLength: 256, bufferBytes: 1 << 20, bufferTimeout: 0 },
  (captured) => {
    frame.load(capture.bytes.subarray(CAPTURE_OFFSET, CAPTURE_OFFSET + captured));
    const at = frame.start + ETHERNET_HEADER;
    if (frame.view.getUint16(at - 2) === ETHERTYPE_ARP) tellArp(at);
    else tellNdp(at);
  },
);
print('watching');
