/** A driver that reads packets, and the time, from a pcap file. */
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

/** Length of the "Linux cooked" header, bytes; its last two are the EtherType (LINKTYPE_LINUX_SLL of the tcpdump registry). */
const COOKED_HEADER = 16;

/** Receives the packets that are sent while a file is replayed. */
export type ReplaySink = (frame: Frame, nextHop: Address) => boolean;

/** Receives the packets of a file at the times recorded there. */
export class ReplayIo implements PacketIo {
  readonly medium: 'ethernet' | 'ip';
  readonly exclusive = true;
  /** Number of skipped packets: truncated by the capture, or not IP in a cooked capture. */
  skipped = 0;
  readonly #packets: Generator<PcapPacket, void, void>;
  readonly #cooked: boolean;
  readonly #sink: ReplaySink;
  readonly #frame = new Frame();
  #next: PcapPacket | undefined;
  #first = Number.NaN;

  /**
   * `file`: the content of a pcap file. Throws PcapFileError if it is not one or its link type is not supported;
   * `receive` throws it where the file is damaged. Sent packets go to `sink`; by default they are discarded.
   */
  constructor(file: Uint8Array, sink: ReplaySink = () => true) {
    const { linkType } = readPcapHeader(file);
    if (![LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_LINUX_SLL].includes(linkType))
      throw new PcapFileError(
        `link type ${linkType}: not supported: expected Ethernet, raw IP or Linux cooked`,
        20,
      );
    this.medium = linkType === LINKTYPE_ETHERNET ? 'ethernet' : 'ip';
    this.#cooked = linkType === LINKTYPE_LINUX_SLL;
    this.#packets = readPcap(file);
    this.#sink = sink;
  }

  /** Time of the next packet, ms since the first packet of the file; undefined after the last one. */
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

  /** Reports whether the packet can be replayed: complete, not too long, and IP. */
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

  /** Passes on the next packets; `frame.at` is ms since the first packet of the file. */
  receive(sink: (frame: Frame) => void, budget: number): number {
    return this.receiveUntil(Number.POSITIVE_INFINITY, sink, budget);
  }

  /** Passes on the packets that are due by `now`, ms since the first packet of the file. */
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
