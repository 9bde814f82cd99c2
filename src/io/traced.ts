/** A wrapper that prints every packet of a driver as one line: what to wrap around a driver to see what it does. */
import { type Address, formatAddress } from '../wire/address.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet, formatMac } from '../wire/ethernet.ts';
import { Frame } from '../wire/frame.ts';
import { printFrame } from '../wire/print.ts';
import type { PacketIo } from './packet-io.ts';
import { wrapped } from './wrapped.ts';

/**
 * `io`, with a line written for each packet: `in  203.0.113.7:4000 > 192.0.2.80:80 TCP SYN`, and
 * `out 203.0.113.7:4000 > 10.0.0.2:8080 TCP SYN via 10.0.0.2`; `lost` follows an `out` that the driver refused.
 */
export function traced(io: PacketIo, write: (line: string) => void): PacketIo {
  const describe = io.medium === 'ethernet' ? ethernetLine : (frame: Frame) => printFrame(frame);
  return wrapped(io, {
    received: (frame) => write(`in  ${describe(frame)}`),
    sent: (frame: Frame, nextHop: Address) => write(`out ${describe(frame)} via ${formatAddress(nextHop)}`),
    dropped: () => write('    lost'),
  });
}

function ethernetLine(frame: Frame): string {
  const length = ethernet.headerLength(frame, frame.start, frame.end);
  if (length < 0) return `malformed len=${frame.length}`;
  const type = ethernet.etherType(frame, frame.start, length);
  const macs = `${formatMac(frame.bytes, ethernet.src(frame.start))} > ${formatMac(frame.bytes, ethernet.dst(frame.start))}`;
  if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6)
    return `${macs} type=0x${type.toString(16).padStart(4, '0')} len=${frame.length - length}`;
  const within = new Frame(frame.length);
  within.load(frame.bytes.subarray(frame.start + length, frame.end));
  return `${macs} ${printFrame(within)}`;
}
