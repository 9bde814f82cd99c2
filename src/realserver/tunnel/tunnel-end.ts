/** This program's end of the tunnels: the sockets that it takes, and what they hear goes to the decapsulator. */
import { LvsError } from '../../model/errors.ts';
import { type Address, isV4, parseAddress } from '../../wire/address.ts';
import type { Frame } from '../../wire/frame.ts';
import { type DecapCounts, decapsulator, insideIpv4, isCongested, type Sender } from './decap.ts';
import { type Encapsulation, GRE, insideGre, insideGue } from './encapsulation.ts';

/** IP protocol numbers (IANA) of tunnels without a header of their own: what is inside is IPv4, or IPv6. */
const IPV4_INSIDE = 4;
const IPV6_INSIDE = 41;

/** Sockets, which this folder does not open itself; the frame is only lent. */
export interface TunnelSockets {
  openSender(family: 4 | 6): Promise<Sender>;
  /** Whole packets over IPv4, payloads over IPv6. */
  openReceiver(family: 4 | 6, protocol: number, heard: (packet: Frame) => void): Promise<void>;
  /** Payloads of datagrams, over either family. */
  openUdp(port: number, heard: (payload: Frame) => void): Promise<void>;
}

/** What ends in this program rather than in the kernel. */
export interface TunnelEnd {
  readonly vips: readonly string[];
  readonly encapsulations: readonly Encapsulation[];
  /** True when the kernel has a device that takes IPv4 out of IPv4: twice would be once too often. */
  readonly kernel: boolean;
}

/** Where the client's packet begins behind the outer IP header at `at`; -1: there is none. */
type Inside = (frame: Frame, at: number) => number;

/** Takes packets for the VIPs out of their tunnels as long as the process lives. */
export async function openTunnelEnd(end: TunnelEnd, sockets: TunnelSockets): Promise<DecapCounts> {
  const vips = end.vips.map(addressOf);
  const families = ([4, 6] as const).filter((family) => vips.some((vip) => isV4(vip) === (family === 4)));
  const senders: { 4?: Sender; 6?: Sender } = {};
  for (const family of families) senders[family] = await sockets.openSender(family);
  const counts: DecapCounts = { decapsulated: 0, refused: 0, lost: 0 };
  const decapsulate = decapsulator({ vips, senders, counts });

  const over4 = (inside: Inside) => (packet: Frame) => {
    const at = insideIpv4(packet);
    decapsulate(packet, at < 0 ? -1 : inside(packet, at), at >= 0 && isCongested(packet));
  };
  const over6 = (inside: Inside) => (payload: Frame) =>
    decapsulate(payload, inside(payload, payload.start), false);
  const hear = async (protocol: number, inside: Inside, kernel = false) => {
    if (!kernel) await sockets.openReceiver(4, protocol, over4(inside));
    // A host without IPv6 has no tunnels over IPv6.
    await sockets.openReceiver(6, protocol, over6(inside)).catch(() => {});
  };
  for (const encapsulation of end.encapsulations)
    switch (encapsulation.type) {
      case 'ipip':
        if (families.includes(4)) await hear(IPV4_INSIDE, (_, at) => at, end.kernel);
        if (families.includes(6)) await hear(IPV6_INSIDE, (_, at) => at);
        break;
      case 'gre':
        await hear(GRE, insideGre);
        break;
      case 'gue':
        await sockets.openUdp(encapsulation.port, over6(insideGue));
        break;
      default:
        encapsulation satisfies never;
    }
  return counts;
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new LvsError('INVALID', `${text} is no address`);
  return address;
}
