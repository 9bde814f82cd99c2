/** The driver that runs anywhere with CAP_NET_RAW: hears copies with pcap, speaks through a raw socket. */

import { linkFacts } from '../host/link-facts.ts';
import { type Address, formatAddress, isV4 } from '../wire/address.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4 } from '../wire/ethernet.ts';
import { Frame } from '../wire/frame.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { Packet } from '../wire/packet.ts';
import { isPartial, recompute } from '../wire/transport-checksum.ts';
import { Ear } from './capture.ts';
import { FrameRing } from './frame-ring.ts';
import type { PacketIo } from './packet-io.ts';
import { CAPTURE_OFFSET, type Capture } from './pcap.ts';
import { openRawSender, type RawSender } from './raw-socket.ts';
import { cutMerged } from './segmentation.ts';

export interface LiveOptions {
  readonly interfaces: readonly string[];
  /** ms between two ticks at which `ready` resolves anyway. Default 100. */
  readonly tick?: number;
  /** ms that the kernel may hold packets back; 0, the default: each is heard at once. */
  readonly bufferTimeout?: number;
  /** Octets of the kernel's buffer, an interface. Default 16 MiB: more would take longer to read than the control socket may wait. */
  readonly bufferOctets?: number;
  /** Frames between the capture and the pump. Default 16,384. */
  readonly frames?: number;
  /** Hears of an interface that went or came back. */
  readonly notice?: (interfaceName: string, what: 'deleted' | 'back' | 'polling') => void;
  /** ms, monotonic. */
  readonly clock: () => number;
}

/** What went wrong since the start, in packets. */
export interface LiveLosses {
  /** By the kernel: we were too slow to read. */
  readonly captureDrops: number;
  /** Between capture and pump: we were too slow to forward. */
  readonly ringDrops: number;
  /** Longer than what is kept of a packet, or than the link carries. */
  readonly truncated: number;
  /** Refused by the kernel, by its words. */
  readonly sendFailures: Readonly<Record<string, number>>;
}

/** Octets; of Ethernet (RFC 894). */
const USUAL_MTU = 1500;
/** Room for a packet that grows at its end. */
const TAILROOM = 64;
/** Next hops whose text is remembered: a power of two. */
const HOPS = 4096;
/** ms for which packets may be handled from inside the capture when all frames are taken. */
const RELIEF = 2;

/* Places in the counts. */
const RING_DROPS = 0;
const TRUNCATED = 1;

export class LivePacketIo implements PacketIo {
  readonly medium = 'ip';
  readonly exclusive = false;
  /** Octets that the pieces which merged packets are cut into leave free on the link, for the headers of tunnels. */
  reserve = 0;
  /** Octets; the least of the interfaces'. */
  #mtu = Number.POSITIVE_INFINITY;
  readonly #options: LiveOptions;
  readonly #clock: () => number;
  readonly #ring: FrameRing;
  readonly #ears = new Map<string, Ear>();
  readonly #senders: { readonly v4: RawSender; readonly v6: RawSender | undefined };
  readonly #hopKeys = new Int32Array(HOPS);
  readonly #hopTexts: string[] = new Array(HOPS).fill('0.0.0.0');
  readonly #counts = new Float64Array(2);
  readonly #packet = new Packet();
  readonly #merged = new Frame();
  readonly #timer: NodeJS.Timeout;
  #sink: ((frame: Frame) => void) | undefined;
  /** When the pump last took packets; ms. */
  #taken = 0;
  #wake: ((more: boolean) => void) | undefined;
  #waking = false;
  #closed = false;

  /** Use `openLive`. */
  constructor(options: LiveOptions, v4: RawSender, v6: RawSender | undefined) {
    this.#options = options;
    this.#clock = options.clock;
    this.#senders = { v4, v6 };
    const mtus = options.interfaces.map((name) => linkFacts(name)?.mtu ?? USUAL_MTU);
    this.#ring = new FrameRing(options.frames ?? 16_384, Math.max(USUAL_MTU, ...mtus) + TAILROOM);
    this.#timer = setInterval(() => {
      for (const ear of this.#ears.values()) ear.tick();
      this.#resolve(true);
    }, options.tick ?? 100);
  }

  /** Starts to listen on an interface, too. Throws LvsError where that is not possible. */
  async listen(name: string): Promise<void> {
    if (this.#ears.has(name)) return;
    const { bufferOctets = 16 * 1024 * 1024, bufferTimeout = 0, notice } = this.#options;
    const ear = new Ear({
      interface: name,
      bufferOctets,
      bufferTimeout,
      heard: (capture, captured, length) => this.#heard(capture, captured, length, false),
      heardMerged: (capture, captured, length) => this.#heard(capture, captured, length, true),
      notice: (what) => notice?.(name, what),
    });
    await ear.open();
    this.#mtu = Math.min(this.#mtu, linkFacts(name)?.mtu ?? USUAL_MTU);
    this.#ears.set(name, ear);
  }

  /** Those that are listened to. */
  get interfaces(): readonly string[] {
    return [...this.#ears.keys()];
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    this.#sink = sink;
    this.#taken = this.#clock();
    return this.#ring.drain(this.#deliver, budget);
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    const { v4, v6 } = this.#senders;
    return isV4(nextHop)
      ? v4.send(frame.bytes, frame.start, frame.length, this.#hopText(nextHop[3]!))
      : (v6?.send(frame.bytes, frame.start, frame.length, formatAddress(nextHop)) ?? false);
  }

  flush(): void {}

  ready(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || this.#closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = () => this.#resolve(false);
      signal.addEventListener('abort', end, { once: true });
      this.#wake = (more) => {
        signal.removeEventListener('abort', end);
        resolve(more);
      };
      // Through the event loop even when packets wait: sockets and timers have their turn between two batches.
      if (this.#ring.length > 0) this.#wakeSoon();
    });
  }

  losses(): LiveLosses {
    const sendFailures: Record<string, number> = {};
    for (const sender of [this.#senders.v4, this.#senders.v6])
      for (const [why, count] of sender?.failures ?? []) sendFailures[why] = (sendFailures[why] ?? 0) + count;
    return {
      captureDrops: [...this.#ears.values()].reduce((total, ear) => total + ear.dropped, 0),
      ringDrops: this.#counts[RING_DROPS]!,
      truncated: this.#counts[TRUNCATED]!,
      sendFailures,
    };
  }

  /** Ends the waiting; the captures themselves end with the process. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const ear of this.#ears.values()) ear.close();
    this.#resolve(false);
  }

  /** A frame of Ethernet in the capture's memory: its IP packet, without padding, goes into the ring. */
  #heard(capture: Capture, captured: number, length: number, merged: boolean): void {
    const at = CAPTURE_OFFSET + ETHERNET_HEADER;
    const room = captured - ETHERNET_HEADER;
    if (captured < length) this.#counts[TRUNCATED]!++;
    if (captured < length || room < 20) return;
    const { bytes } = capture;
    const type = (bytes[at - 2]! << 8) | bytes[at - 1]!;
    const octets =
      type === ETHERTYPE_IPV4
        ? (bytes[at + 2]! << 8) | bytes[at + 3]!
        : IPV6_HEADER + ((bytes[at + 4]! << 8) | bytes[at + 5]!);
    if (this.#ring.full) this.#relieve();
    if (merged) this.#cut(capture, at, Math.min(room, octets));
    else if (!this.#ring.pushCopy(capture.words, at >>> 2, Math.min(room, octets)))
      this.#counts[RING_DROPS]!++;
    if (this.#wake && !this.#waking) this.#wakeSoon();
  }

  #cut(capture: Capture, at: number, octets: number): void {
    this.#merged.load(capture.bytes.subarray(at, at + octets));
    if (cutMerged(this.#merged, this.#mtu - this.reserve, this.#ring) === 0) this.#counts[TRUNCATED]!++;
  }

  /** All frames are taken and the capture does not stop: some are handled here, but timers must have their turn. */
  #relieve(): void {
    if (this.#sink && this.#clock() - this.#taken < RELIEF) this.#ring.drain(this.#deliver, 64);
  }

  /** What a sender's kernel left to its card is done here, so that the packet can go anywhere. */
  readonly #deliver = (frame: Frame): void => {
    const packet = this.#packet;
    if (packet.decode(frame) && isPartial(packet)) recompute(packet);
    this.#sink?.(frame);
  };

  #wakeSoon(): void {
    this.#waking = true;
    setImmediate(() => this.#resolve(true));
  }

  #resolve(more: boolean): void {
    this.#waking = false;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.(more);
  }

  #hopText(word: number): string {
    const key = word | 0;
    const slot = (Math.imul(key, 0x9e3779b1) >>> 20) & (HOPS - 1);
    if (this.#hopKeys[slot] !== key) {
      this.#hopKeys[slot] = key;
      this.#hopTexts[slot] = `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
    }
    return this.#hopTexts[slot]!;
  }
}

/** Opens the driver on its interfaces. Needs CAP_NET_RAW. */
export async function openLive(options: LiveOptions): Promise<LivePacketIo> {
  const v4 = await openRawSender(4);
  const v6 = await openRawSender(6).catch(() => undefined);
  const io = new LivePacketIo(options, v4, v6);
  for (const name of options.interfaces) await io.listen(name);
  return io;
}
