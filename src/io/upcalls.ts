/** The driver of a kernel path: receives the packets that the eBPF program redirects to a tap, sends back or through raw sockets. */

import { linkFacts } from '../host/link-facts.ts';
import { LvsError } from '../model/errors.ts';
import type { Address } from '../wire/address.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet } from '../wire/ethernet.ts';
import type { Frame } from '../wire/frame.ts';
import { Packet } from '../wire/packet.ts';
import type { HostIo } from './host-io.ts';
import type { LiveLosses } from './live.ts';
import { openRawSenders, type RawSenders } from './raw-senders.ts';
import type { Tap } from './tap.ts';

export interface UpcallOptions {
  readonly tap: Tap;
  /** Attaches the eBPF program to an interface, unless it is attached. Throws LvsError. */
  readonly attach: (interfaceName: string) => void;
  /**
   * Returns the Ethernet header of a frame towards a neighbor, by which the program at the tap finds the interface;
   * undefined if the neighbor is not known yet, and the kernel must resolve it.
   */
  readonly header: (nextHop: Address) => Uint8Array | undefined;
}

export class UpcallIo implements HostIo {
  readonly medium = 'ip';
  readonly exclusive = true;
  /** Unused: the kernel cuts merged packets before the tap. */
  reserve = 0;
  readonly #tap: Tap;
  readonly #attach: (interfaceName: string) => void;
  readonly #header: UpcallOptions['header'];
  readonly #interfaces: string[] = [];
  readonly #senders: RawSenders;
  readonly #packet = new Packet();
  #ingress: ReadonlyMap<number, number> = new Map();
  #sink: (frame: Frame) => void = () => {};
  readonly #upcalls = new Float64Array(1);

  /** Use `openUpcalls`. */
  constructor({ tap, attach, header }: UpcallOptions, senders: RawSenders) {
    this.#tap = tap;
    this.#attach = attach;
    this.#header = header;
    this.#senders = senders;
  }

  /** Packets that the eBPF program has redirected to the director. */
  get upcalls(): number {
    return this.#upcalls[0]!;
  }

  get interfaces(): readonly string[] {
    return this.#interfaces;
  }

  async listen(name: string): Promise<void> {
    this.#attach(name);
    if (!this.#interfaces.includes(name)) this.#interfaces.push(name);
    this.#ingress = this.#indicesByMac();
  }

  /** Interfaces by MAC address, as a number. */
  #indicesByMac(): ReadonlyMap<number, number> {
    const indices = new Map<number, number>();
    for (const name of this.#interfaces) {
      const facts = linkFacts(name);
      if (!facts) continue;
      const key = Number.parseInt(facts.mac.replaceAll(':', ''), 16);
      indices.set(key, indices.has(key) ? 0 : facts.index);
    }
    return indices;
  }

  /** Attaches the program again to interfaces that were re-created; skips those that are missing. */
  renew(): void {
    this.#ingress = this.#indicesByMac();
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

  /** Passes the IP packet of a frame on, without padding. */
  readonly #take = (frame: Frame): void => {
    const at = frame.start;
    const length = ethernet.headerLength(frame, at, frame.end);
    if (length < 0) return;
    const type = ethernet.etherType(frame, at, length);
    if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return;
    frame.ingress = this.#ingressOf(frame, ethernet.dst(at));
    frame.start = at + length;
    this.#upcalls[0]!++;
    if (this.#packet.decode(frame)) frame.end = this.#packet.end;
    this.#sink(frame);
  };

  /** The interface that a frame came in by: the one with the MAC address it is for. 0 if several have it. */
  #ingressOf({ bytes, view }: Frame, at: number): number {
    const [high, low] = [view.getUint16(at), view.getUint32(at + 2)];
    const index = this.#ingress.get(high * 2 ** 32 + low);
    if (index !== undefined || (bytes[at]! & 1) !== 0) return index ?? 0;
    return 0;
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    const header = this.#header(nextHop);
    return header && frame.prepend(ETHERNET_HEADER)
      ? this.#handBack(frame, header, nextHop)
      : this.#senders.send(frame, nextHop);
  }

  /** Writes the frame to the tap, where the eBPF program forwards it. */
  #handBack(frame: Frame, header: Uint8Array, nextHop: Address): boolean {
    const { bytes, start } = frame;
    for (let i = 0; i < ETHERNET_HEADER; i++) bytes[start + i] = header[i]!;
    const taken = this.#tap.transmit(frame, nextHop);
    frame.start = start + ETHERNET_HEADER;
    return taken;
  }

  flush(): void {}

  ready(signal: AbortSignal): Promise<boolean> {
    return this.#tap.ready(signal);
  }

  losses(): LiveLosses {
    const sendFailures = this.#senders.failures();
    // The tap's queue has packets of both kinds.
    return {
      ...{ captureDrops: this.#tap.drops, firstCaptureDrops: 0, ringDrops: 0, firstRingDrops: 0 },
      ...{ truncated: 0, sendFailures },
    };
  }

  [Symbol.dispose](): void {
    this.#tap[Symbol.dispose]();
  }
}

/** Opens the driver. Needs CAP_NET_RAW. */
export async function openUpcalls(options: UpcallOptions): Promise<UpcallIo> {
  return new UpcallIo(options, await openRawSenders());
}
