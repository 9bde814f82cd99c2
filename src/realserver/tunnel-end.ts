/** This program's end of the tunnels: the raw sockets that it takes, and what they hear goes to the decapsulator. */
import { LvsError } from '../model/errors.ts';
import { type Address, isV4, parseAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { type DecapCounts, decapsulator, type Sender } from './decap.ts';

/** IP protocol numbers (IANA): what is inside is IPv4, or IPv6. */
const IPV4_INSIDE = 4;
const IPV6_INSIDE = 41;

/** Raw sockets, which this folder does not open itself. */
export interface RawSockets {
  openSender(family: 4 | 6): Promise<Sender>;
  openReceiver(family: 4 | 6, protocol: number, heard: (packet: Frame) => void): Promise<void>;
}

/** Takes packets for the VIPs out of their tunnels as long as the process lives. */
export async function openTunnelEnd(texts: readonly string[], sockets: RawSockets): Promise<DecapCounts> {
  const vips = texts.map(addressOf);
  const inside = [
    ...(vips.some(isV4) ? [{ family: 4, protocol: IPV4_INSIDE } as const] : []),
    ...(vips.some((vip) => !isV4(vip)) ? [{ family: 6, protocol: IPV6_INSIDE } as const] : []),
  ];
  const senders: { 4?: Sender; 6?: Sender } = {};
  for (const { family } of inside) senders[family] = await sockets.openSender(family);
  const counts: DecapCounts = { decapsulated: 0, refused: 0, lost: 0 };
  const decapsulate = decapsulator({ vips, senders, counts });
  for (const { protocol } of inside) {
    await sockets.openReceiver(4, protocol, (packet) => decapsulate(packet, 4));
    // A host without IPv6 has no tunnels over IPv6.
    await sockets.openReceiver(6, protocol, (packet) => decapsulate(packet, 6)).catch(() => {});
  }
  return counts;
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new LvsError('INVALID', `${text} is no address`);
  return address;
}
