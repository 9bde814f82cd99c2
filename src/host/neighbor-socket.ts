/** Sends and receives ARP and neighbor discovery on one interface, through packet sockets. */
import { classicFilter, ifEqual, LD_B_ABS, LD_W_ABS, PACKET_TYPE } from '../sys/classic-filter.ts';
import { PacketSocket } from '../sys/packet-socket.ts';
import type { System } from '../sys/system.ts';
import { ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { Frame, HEADROOM } from '../wire/frame.ts';
import { ICMP6 } from '../wire/icmp6.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { NEIGHBOR_ADVERTISEMENT } from '../wire/ndp.ts';
import { type AddressClaim, claimOf } from './neighbor-frames.ts';

/** An ARP message or a neighbor advertisement with options, with room to spare, bytes. */
const FRAME_BYTES = 256;
/** PACKET_OUTGOING of packet(7). */
const SENT_BY_US = 4;
/** Frames read in a call: a flood of ARP must not stop packets. */
const MAX_FRAMES_PER_READ = 64;
const NEXT_HEADER = ETHERNET_HEADER + 6;

const ARP_FILTER = classicFilter([[LD_W_ABS, PACKET_TYPE], ifEqual(SENT_BY_US, 'drop')]);
const ADVERTISEMENT_FILTER = classicFilter([
  [LD_W_ABS, PACKET_TYPE],
  ifEqual(SENT_BY_US, 'drop'),
  [LD_B_ABS, NEXT_HEADER],
  ifEqual(ICMP6, undefined, 'drop'),
  [LD_B_ABS, ETHERNET_HEADER + IPV6_HEADER],
  ifEqual(NEIGHBOR_ADVERTISEMENT, 'accept', 'drop'),
]);

export class NeighborSocket implements Disposable {
  readonly #sockets: readonly PacketSocket[];
  readonly #frame = new Frame(FRAME_BYTES);

  /** Throws SystemCallError: EPERM without CAP_NET_RAW, ENODEV where the interface is missing. */
  constructor(system: System, interfaceIndex: number) {
    const open = (protocol: number, filter: typeof ARP_FILTER) =>
      new PacketSocket(system, { interfaceIndex, protocol, filter, frameBytes: FRAME_BYTES });
    const arp = open(ETHERTYPE_ARP, ARP_FILTER);
    try {
      this.#sockets = [arp, open(ETHERTYPE_IPV6, ADVERTISEMENT_FILTER)];
    } catch (error) {
      arp[Symbol.dispose]();
      throw error;
    }
  }

  /** Sends a frame that `write` fills. Throws SystemCallError: ENETDOWN while the interface is down. */
  send(write: (frame: Frame) => void): void {
    const [socket] = this.#sockets as readonly [PacketSocket];
    const frame = this.#frame;
    frame.start = HEADROOM;
    write(frame);
    socket.buffer.bytes.set(frame.bytes.subarray(frame.start, frame.end));
    socket.send(frame.length);
  }

  /** Calls `claim` for the claims that were received since the last call; never waits. */
  receive(claim: (claim: AddressClaim) => void): void {
    for (const socket of this.#sockets)
      for (let i = 0; i < MAX_FRAMES_PER_READ; i++) {
        const length = socket.receive();
        if (length <= 0) break;
        if (!this.#frame.load(socket.buffer.bytes.subarray(0, length))) continue;
        const found = claimOf(this.#frame);
        if (found) claim(found);
      }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket[Symbol.dispose]();
  }
}
