import { forwardingMethods } from '../../src/forwarding/index.ts';
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import type { Connection } from '../../src/model/connection.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import { type HookName, tc, xdp } from '../../src/offload/hooks.ts';
import type { NextHop } from '../../src/offload/next-hops.ts';
import type { Address } from '../../src/wire/address.ts';
import { isV4 } from '../../src/wire/address.ts';
import { type MacAddress, parseMac } from '../../src/wire/ethernet.ts';
import { Packet } from '../../src/wire/packet.ts';
import { address, RecordedHost } from '../forwarding/recorded-host.ts';
import type { PacketFacts } from '../support/ebpf/hooks.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { ethernetOf, framed } from '../support/packets.ts';

export const HOOKS = { xdp, tc } as const;
/** Why nothing runs in a kernel here; undefined: it does. */
export const noKernel: string | undefined = 'why' in kernel ? kernel.why : undefined;

const mac = (text: string): MacAddress => parseMac(text)!;
/** What packets come to and from (those of a test run to the loopback device), and what they leave with. */
export const ARRIVED = { to: mac('00:00:00:00:00:00'), from: mac('02:00:00:00:00:c1') };
export const LEFT = { to: mac('02:00:00:00:00:aa'), from: mac('02:00:00:00:00:bb') };
/** The loopback device: in a test run nothing is sent to it. */
export const OUT = 1;
export const TAP = 77;
export const MTU = 1500;
/** Identification of the first outer header that may be fragmented. */
export const FIRST_ID = 0xfffe;

export const OWN4 = address('10.1.0.254');
export const OWN6 = address('fd01::fe');
export const nextHopTo =
  (vlan = 0, mtu = MTU) =>
  (to: Address): NextHop => ({ ...LEFT, interfaceIndex: OUT, vlan, mtu, source: isV4(to) ? OWN4 : OWN6 });

/** What became of a frame. `up`: to the director. */
export interface Outcome {
  readonly fate: 'forwarded' | 'up' | 'pass' | 'drop';
  /** The whole frame. */
  readonly frame: Uint8Array;
}

/** A program that runs over a frame. */
export type Runs = (frame: Uint8Array, facts?: PacketFacts) => Outcome;

/** Returns what the result of a program means. */
export function outcomeOf(hook: HookName, result: number, frame: Uint8Array, to?: number): Outcome {
  const redirect = hook === 'xdp' ? 4 : 7;
  const { pass, drop } = HOOKS[hook];
  if (result === redirect) return { fate: to === TAP ? 'up' : 'forwarded', frame };
  if (result === pass) return { fate: 'pass', frame };
  if (result === drop) return { fate: 'drop', frame };
  throw new Error(`the program returned ${result}`);
}

/** What the director's forwarding method makes of an IP packet. */
export function typescript(
  octets: Uint8Array,
  connection: Connection,
  isReply = false,
  mtu = MTU,
): { readonly verdict: Verdict; readonly sent: readonly Uint8Array[] } {
  const host = new RecordedHost(mtu);
  const context: ForwardingContext = {
    host: {
      transmit: (frame, nextHop) => host.transmit(frame, nextHop),
      isLocal: () => false,
      route: (to) => ({ mtu, source: isV4(to) ? OWN4 : OWN6 }),
    },
    settings: DEFAULT_SETTINGS,
    nextId: () => FIRST_ID,
  };
  const packet = new Packet();
  if (!packet.decode(framed(octets))) return { verdict: 'malformed', sent: [] };
  const method = forwardingMethods[connection.method];
  const verdict = isReply
    ? method.reply!(packet, connection, context)
    : method.request(packet, connection, context);
  return { verdict, sent: host.sent.map((each) => each.octets) };
}

/** An IP packet as it arrives: an Ethernet frame, with a tag, padded. */
export function arriving(octets: Uint8Array, vlan = 0): Uint8Array {
  const plain = ethernetOf(octets, ARRIVED.to, ARRIVED.from);
  const tagged = vlan === 0 ? plain : withTag(plain, vlan);
  if (tagged.length >= 60) return tagged;
  const padded = new Uint8Array(60);
  padded.set(tagged);
  return padded;
}

function withTag(frame: Uint8Array, vlan: number): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), 0x81, 0x00, vlan >> 8, vlan & 0xff, ...frame.subarray(12));
}

/** The IP packet in a frame, padding taken off. */
export function ipOf(frame: Uint8Array): Uint8Array {
  const at = frame[12] === 0x81 ? 18 : 14;
  const packet = new Packet();
  const held = framed(frame.subarray(at));
  if (!packet.decode(held)) throw new Error('no IP packet in the frame');
  return frame.slice(at, at + packet.end - packet.network);
}
