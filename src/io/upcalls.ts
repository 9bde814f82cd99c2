/** The driver of a host whose kernel forwards known connections: hears by a tap what the kernel hands up, speaks through a raw socket. */

import { LvsError } from '../model/errors.ts';
import { type Address, formatAddress, isV4 } from '../wire/address.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet } from '../wire/ethernet.ts';
import type { Frame } from '../wire/frame.ts';
import { Packet } from '../wire/packet.ts';
import type { HostIo } from './host-io.ts';
import type { LiveLosses } from './live.ts';
import { openRawSender, type RawSender } from './raw-socket.ts';
import type { Tap } from './tap.ts';

export interface UpcallOptions {
  readonly tap: Tap;
  /** Puts the kernel's program at an interface, unless it is there. Throws LvsError. */
  readonly attach: (interfaceName: string) => void;
  /**
   * The first 14 octets of a frame towards a neighbour, by which the tap's far end knows where it goes; undefined: the
   * neighbour is not known (yet), and the kernel is to find it.
   */
  readonly header: (nextHop: Address) => Uint8Array | undefined;
}

/** Next hops whose text is remembered. */
const HOPS = 4096;

export class UpcallIo implements HostIo {
  readonly medium = 'ip';
  readonly exclusive = true;
  /** Nothing is merged here: the kernel takes it apart before the tap. */
  reserve = 0;
  readonly #tap: Tap;
  readonly #attach: (interfaceName: string) => void;
  readonly #header: UpcallOptions['header'];
  readonly #interfaces: string[] = [];
  readonly #senders: { readonly v4: RawSender; readonly v6: RawSender | undefined };
  readonly #hops = new Map<number, string>();
  readonly #packet = new Packet();
  #sink: (frame: Frame) => void = () => {};
  readonly #upcalls = new Float64Array(1);

  /** Use `openUpcalls`. */
  constructor({ tap, attach, header }: UpcallOptions, v4: RawSender, v6: RawSender | undefined) {
    this.#tap = tap;
    this.#attach = attach;
    this.#header = header;
    this.#senders = { v4, v6 };
  }

  /** Packets that the kernel's program has handed up. */
  get upcalls(): number {
    return this.#upcalls[0]!;
  }

  get interfaces(): readonly string[] {
    return this.#interfaces;
  }

  async listen(name: string): Promise<void> {
    this.#attach(name);
    if (!this.#interfaces.includes(name)) this.#interfaces.push(name);
  }

  /** Interfaces that came back under another number get the program again; of those that are gone, nothing. */
  renew(): void {
    for (const name of this.#interfaces) {
      try {
        this.#attach(name);
      } catch (error) {
        if (!(error instanceof LvsError)) throw error;
      }
    }
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    this.#sink = sink;
    return this.#tap.receive(this.#take, budget);
  }

  /** The IP packet in a frame, without padding. */
  readonly #take = (frame: Frame): void => {
    const at = frame.start;
    const length = ethernet.headerLength(frame, at, frame.end);
    if (length < 0) return;
    const type = ethernet.etherType(frame, at, length);
    if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return;
    frame.start = at + length;
    this.#upcalls[0]!++;
    if (this.#packet.decode(frame)) frame.end = this.#packet.end;
    this.#sink(frame);
  };

  transmit(frame: Frame, nextHop: Address): boolean {
    const header = this.#header(nextHop);
    return header && frame.prepend(ETHERNET_HEADER)
      ? this.#handBack(frame, header, nextHop)
      : this.#speak(frame, nextHop);
  }

  /** The quick way: the program at the tap sends the frame on. */
  #handBack(frame: Frame, header: Uint8Array, nextHop: Address): boolean {
    const { bytes, start } = frame;
    for (let i = 0; i < ETHERNET_HEADER; i++) bytes[start + i] = header[i]!;
    const taken = this.#tap.transmit(frame, nextHop);
    frame.start = start + ETHERNET_HEADER;
    return taken;
  }

  /** Through the host's own routes. */
  #speak(frame: Frame, nextHop: Address): boolean {
    const { v4, v6 } = this.#senders;
    return isV4(nextHop)
      ? v4.send(frame.bytes, frame.start, frame.length, this.#hopText(nextHop))
      : (v6?.send(frame.bytes, frame.start, frame.length, formatAddress(nextHop)) ?? false);
  }

  flush(): void {}

  ready(signal: AbortSignal): Promise<boolean> {
    return this.#tap.ready(signal);
  }

  losses(): LiveLosses {
    const sendFailures: Record<string, number> = {};
    for (const sender of [this.#senders.v4, this.#senders.v6])
      for (const [why, count] of sender?.failures ?? []) sendFailures[why] = (sendFailures[why] ?? 0) + count;
    return { captureDrops: this.#tap.drops, ringDrops: 0, truncated: 0, sendFailures };
  }

  [Symbol.dispose](): void {
    this.#tap[Symbol.dispose]();
  }

  #hopText(nextHop: Address): string {
    const word = nextHop[3]! | 0;
    const known = this.#hops.get(word);
    if (known !== undefined) return known;
    if (this.#hops.size >= HOPS) this.#hops.clear();
    const text = formatAddress(nextHop);
    this.#hops.set(word, text);
    return text;
  }
}

/** Needs CAP_NET_RAW. */
export async function openUpcalls(options: UpcallOptions): Promise<UpcallIo> {
  const v4 = await openRawSender(4);
  const v6 = await openRawSender(6).catch(() => undefined);
  return new UpcallIo(options, v4, v6);
}
