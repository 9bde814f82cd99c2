/** Terminates tunnels in this program: opens the sockets, and passes received packets to the decapsulator. */
import { LvsError } from '../../model/errors.ts';
import { type Address, isV4, parseAddress } from '../../wire/address.ts';
import type { Frame } from '../../wire/frame.ts';
import { type DecapCounts, decapsulator, insideIpv4, isCongested, type Sender } from './decap.ts';
import { type Encapsulation, GRE, insideGre, insideGue } from './encapsulation.ts';

/** IP protocol numbers (IANA) of tunnels without a header between the two IP headers, by the inner version. */
const IPV4_INSIDE = 4;
const IPV6_INSIDE = 41;

/** Opens sockets; injected because this folder does no I/O. The frame is reused after the callback. */
export interface TunnelSockets {
  openSender(family: 4 | 6): Promise<Sender>;
  /** Whole packets over IPv4, payloads over IPv6. */
  openReceiver(family: 4 | 6, protocol: number, received: (packet: Frame) => void): Promise<void>;
  /** Payloads of datagrams, over either family. */
  openUdp(port: number, received: (payload: Frame) => void): Promise<void>;
}

/** The tunnels that this program terminates, not the kernel. */
export interface TunnelEnd {
  readonly vips: readonly string[];
  readonly encapsulations: readonly Encapsulation[];
  /** True if the kernel has a device that decapsulates IPv4 in IPv4, which this program then must not do, too. */
  readonly kernel: boolean;
}

/** Returns the offset of the inner packet behind the outer IP header at `at`; -1 if there is none. */
type Inside = (frame: Frame, at: number) => number;

/** Decapsulates packets for the VIPs for as long as the process lives. */
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
    // Fails on a host without IPv6, which has no tunnels over IPv6.
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
  if (!address) throw new LvsError('INVALID', `invalid address ${text}: expected IPv4 or IPv6`);
  return address;
}
