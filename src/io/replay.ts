/** A pcap file as source of packets and as clock: scenarios, bug reports. */
import type { Address } from '../wire/address.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { Frame } from '../wire/frame.ts';
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_RAW,
  PcapFileError,
  type PcapPacket,
  readPcap,
  readPcapHeader,
} from '../wire/pcap-file.ts';
import type { PacketIo } from './packet-io.ts';

/** Octets of the "Linux cooked" header; its last two are the EtherType (LINKTYPE_LINUX_SLL of the tcpdump registry). */
const COOKED_HEADER = 16;

/** What becomes of the packets that are sent while a file is replayed. */
export type ReplaySink = (frame: Frame, nextHop: Address) => boolean;

/** A driver that hears what a file holds, at the times that the file tells. */
export class ReplayIo implements PacketIo {
  readonly medium: 'ethernet' | 'ip';
  readonly exclusive = true;
  /** Packets that were cut when they were captured, or that are no IP in a cooked capture: left out. */
  skipped = 0;
  readonly #packets: Generator<PcapPacket, void, void>;
  readonly #cooked: boolean;
  readonly #sink: ReplaySink;
  readonly #frame = new Frame();
  #next: PcapPacket | undefined;
  #first = Number.NaN;

  /**
   * `file`: the octets of a pcap file. Throws PcapFileError when it is none, or of a link type that is not known;
   * `receive` throws it where the file turns out to be broken. Sent packets go to `sink`, unless told into nothing.
   */
  constructor(file: Uint8Array, sink: ReplaySink = () => true) {
    const { linkType } = readPcapHeader(file);
    if (![LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_LINUX_SLL].includes(linkType))
      throw new PcapFileError(`link type ${linkType} is neither Ethernet, IP nor Linux cooked`, 20);
    this.medium = linkType === LINKTYPE_ETHERNET ? 'ethernet' : 'ip';
    this.#cooked = linkType === LINKTYPE_LINUX_SLL;
    this.#packets = readPcap(file);
    this.#sink = sink;
  }

  /** When the next packet is due, in ms since the file's first; undefined: there is none. */
  get due(): number | undefined {
    const packet = this.#peek();
    return packet === undefined ? undefined : packet.at - this.#first;
  }

  #peek(): PcapPacket | undefined {
    while (this.#next === undefined) {
      const { value } = this.#packets.next();
      if (value === undefined) return undefined;
      if (Number.isNaN(this.#first)) this.#first = value.at;
      if (this.#fits(value)) this.#next = value;
      else this.skipped++;
    }
    return this.#next;
  }

  /** Loads the packet: false when it is not whole, too long, or not IP. */
  #fits(packet: PcapPacket): boolean {
    const { octets } = packet;
    if (octets.length < packet.originalLength) return false;
    if (this.#cooked) {
      if (octets.length < COOKED_HEADER) return false;
      const type = (octets[COOKED_HEADER - 2]! << 8) | octets[COOKED_HEADER - 1]!;
      if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return false;
    }
    return (
      octets.length > 0 && octets.length <= this.#frame.bytes.length - this.#frame.start - ETHERNET_HEADER
    );
  }

  /** Hands the next packets over, `frame.at` being ms since the file's first packet. */
  receive(sink: (frame: Frame) => void, budget: number): number {
    return this.receiveUntil(Number.POSITIVE_INFINITY, sink, budget);
  }

  /** The same of the packets that are due by `now` only, ms since the file's first packet. */
  receiveUntil(now: number, sink: (frame: Frame) => void, budget: number): number {
    for (let count = 0; count < budget; count++) {
      const packet = this.#peek();
      if (packet === undefined || packet.at - this.#first > now) return count;
      this.#next = undefined;
      this.#frame.load(this.#cooked ? packet.octets.subarray(COOKED_HEADER) : packet.octets);
      this.#frame.at = packet.at - this.#first;
      sink(this.#frame);
    }
    return budget;
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    return this.#sink(frame, nextHop);
  }

  flush(): void {}

  async ready(signal: AbortSignal): Promise<boolean> {
    return !signal.aborted && this.#peek() !== undefined;
  }

  [Symbol.dispose](): void {
    this.#packets.return();
    this.#next = undefined;
  }
}
