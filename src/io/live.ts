/** The driver that runs anywhere with CAP_NET_RAW: hears copies with pcap, speaks through a raw socket. */
import { type Address, formatAddress, isV4 } from '../wire/address.ts';
import { Frame } from '../wire/frame.ts';
import { Packet } from '../wire/packet.ts';
import { isPartial, recompute } from '../wire/transport-checksum.ts';
import { Ear } from './ear.ts';
import { FrameRing } from './frame-ring.ts';
import { linkFacts } from './link-facts.ts';
import { cutMerged } from './merged.ts';
import type { PacketIo } from './packet-io.ts';
import { CAPTURE_OFFSET, type Capture } from './pcap.ts';
import { openRawSender, type RawSender } from './raw-socket.ts';

export interface LiveOptions {
  readonly interfaces: readonly string[];
  /** ms between two ticks at which `ready` resolves anyway. Default 100. */
  readonly tick?: number;
  /** ms that the kernel may hold packets back; 0, the default: each is heard at once. */
  readonly bufferTimeout?: number;
  /** Octets of the kernel's buffer, an interface. Default 32 MiB. */
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

const ETHERNET_HEADER = 14;
/** Ethertypes (IEEE 802 numbers, IANA). */
const IPV4 = 0x0800;
/** Octets of an IPv6 header (RFC 8200 section 3). */
const IPV6_HEADER = 40;
/** Room for a packet that grows at its end. */
const TAILROOM = 64;
/** Next hops whose text is remembered: a power of two. */
const HOPS = 4096;
/** ms for which packets may be handled from inside the capture when all frames are taken. */
const RELIEF = 5;

/* Places in the counts. */
const RING_DROPS = 0;
const TRUNCATED = 1;

export class LivePacketIo implements PacketIo {
  readonly medium = 'ip';
  readonly exclusive = false;
  /** Octets of the pieces that merged packets are cut into: at most the links' MTU, less where tunnels add headers. */
  longest: number;
  readonly #clock: () => number;
  readonly #ring: FrameRing;
  readonly #ears: readonly Ear[];
  readonly #senders: { readonly v4: RawSender; readonly v6: RawSender | undefined };
  readonly #mtu: number;
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
  constructor(options: LiveOptions, v4: RawSender, v6: RawSender | undefined, mtu: number) {
    this.#clock = options.clock;
    this.#senders = { v4, v6 };
    this.#mtu = mtu;
    this.longest = mtu;
    this.#ring = new FrameRing(options.frames ?? 16_384, mtu + TAILROOM);
    this.#ears = options.interfaces.map(
      (name) =>
        new Ear({
          interface: name,
          bufferOctets: options.bufferOctets ?? 32 * 1024 * 1024,
          bufferTimeout: options.bufferTimeout ?? 0,
          heard: (capture, captured, length) => this.#heard(capture, captured, length),
          notice: (what) => options.notice?.(name, what),
        }),
    );
    this.#timer = setInterval(() => {
      for (const ear of this.#ears) ear.tick();
      this.#resolve(true);
    }, options.tick ?? 100);
  }

  /** Starts to listen on every interface. */
  async listen(): Promise<void> {
    for (const ear of this.#ears) await ear.open();
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
      captureDrops: this.#ears.reduce((total, ear) => total + ear.dropped, 0),
      ringDrops: this.#counts[RING_DROPS]!,
      truncated: this.#counts[TRUNCATED]!,
      sendFailures,
    };
  }

  /** Ends the waiting; the captures themselves end with the process. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const ear of this.#ears) ear.close();
    this.#resolve(false);
  }

  /** A frame of Ethernet in the capture's memory: its IP packet, without padding, goes into the ring. */
  #heard(capture: Capture, captured: number, length: number): void {
    const at = CAPTURE_OFFSET + ETHERNET_HEADER;
    const room = captured - ETHERNET_HEADER;
    if (captured < length) this.#counts[TRUNCATED]!++;
    if (captured < length || room < 20) return;
    const { bytes } = capture;
    const type = (bytes[at - 2]! << 8) | bytes[at - 1]!;
    const octets =
      type === IPV4
        ? (bytes[at + 2]! << 8) | bytes[at + 3]!
        : IPV6_HEADER + ((bytes[at + 4]! << 8) | bytes[at + 5]!);
    if (this.#ring.full) this.#relieve();
    if (room > this.#mtu) this.#cut(capture, at, Math.min(room, octets));
    else if (!this.#ring.pushCopy(capture.words, at >>> 2, Math.min(room, octets)))
      this.#counts[RING_DROPS]!++;
    if (this.#wake && !this.#waking) this.#wakeSoon();
  }

  #cut(capture: Capture, at: number, octets: number): void {
    this.#merged.load(capture.bytes.subarray(at, at + octets));
    if (cutMerged(this.#merged, Math.min(this.longest, this.#mtu), this.#ring) === 0)
      this.#counts[TRUNCATED]!++;
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
  let mtu = 0;
  for (const name of options.interfaces) mtu = Math.max(mtu, linkFacts(name)?.mtu ?? 0);
  const v4 = await openRawSender(4);
  const v6 = await openRawSender(6).catch(() => undefined);
  const io = new LivePacketIo(options, v4, v6, mtu);
  await io.listen();
  return io;
}
