/** The driver that runs anywhere with CAP_NET_RAW: receives copies of packets with pcap, sends through raw sockets. */

import { linkFacts } from '../host/link-facts.ts';
import type { System } from '../sys/system.ts';
import type { Address } from '../wire/address.ts';
import {
  ETHERNET_HEADER,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_VLAN,
  VLAN_ID,
  VLAN_TAG,
} from '../wire/ethernet.ts';
import { Frame } from '../wire/frame.ts';
import { IPV4_HEADER } from '../wire/ipv4.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { Packet } from '../wire/packet.ts';
import { isPartial, recompute } from '../wire/transport-checksum.ts';
import { InterfaceCapture } from './capture.ts';
import type { FrameRing } from './frame-ring.ts';
import { mayBeMergedDatagram } from './merged-filter.ts';
import { MergedReceiver } from './merged-receiver.ts';
import type { PacketIo } from './packet-io.ts';
import { PacketQueues } from './packet-queues.ts';
import { CAPTURE_OFFSET, type Capture } from './pcap.ts';
import { openRawSenders, type RawSenders } from './raw-senders.ts';
import { cutMerged } from './segmentation.ts';

export interface LiveOptions {
  readonly interfaces: readonly string[];
  /** Interval at which `ready` resolves without packets, ms. Default 100. */
  readonly tick?: number;
  /** How long the kernel may hold packets back, ms. Default 0: none. */
  readonly bufferTimeout?: number;
  /** Size of the kernel's buffer per interface, bytes. Default 16 MiB: a larger one takes longer to read than the control socket may wait. */
  readonly bufferBytes?: number;
  /** Frames between the capture and the pump. Default 16,384. */
  readonly frames?: number;
  /** Called when an interface was deleted, came back, or must be polled. */
  readonly notice?: (interfaceName: string, what: 'deleted' | 'back' | 'polling') => void;
  /** ms, monotonic. */
  readonly clock: () => number;
  /** The system, for receiving merged packets with their segment size; missing: pcap receives them without. */
  readonly system?: System | undefined;
}

/** Packets lost since the start. */
export interface LiveLosses {
  /** Packets of known connections, those that look like them, and merged ones, that the kernel dropped: the director read too slowly. */
  readonly captureDrops: number;
  /** The same of packets that ask for a connection. In a flood of these, they are dropped in favor of known connections. */
  readonly firstCaptureDrops: number;
  /** Packets of known connections that were dropped between capture and pump: the director forwarded too slowly. */
  readonly ringDrops: number;
  /** The same of packets that ask for a connection. */
  readonly firstRingDrops: number;
  /** Longer than the snapshot length, or merged packets that could not be cut. */
  readonly truncated: number;
  /** Refused by the kernel, by its error message. */
  readonly sendFailures: Readonly<Record<string, number>>;
}

/** MTU of Ethernet (RFC 894), bytes. */
const ETHERNET_MTU = 1500;
/** Room for a packet that grows at its end, bytes. */
const TAILROOM_BYTES = 64;
/** How long packets may be handled from inside the capture when the ring is full, ms. */
const RELIEF_MS = 2;

/* Indices of the counts. */
const RING_DROPS = 0;
const FIRST_RING_DROPS = 1;
const TRUNCATED = 2;

export class LivePacketIo implements PacketIo {
  readonly medium = 'ip';
  readonly exclusive = false;
  /** Bytes that segments cut from merged packets leave free on the link, for tunnel headers. */
  reserve = 0;
  /** The smallest MTU of the interfaces, and what a frame of the ring has room for, bytes. */
  #mtu: number;
  #maxMtu: number;
  readonly #options: LiveOptions;
  readonly #clock: () => number;
  #queues: PacketQueues;
  readonly #captures = new Map<string, InterfaceCapture>();
  readonly #senders: RawSenders;
  readonly #counts = new Float64Array(3);
  readonly #packet = new Packet();
  readonly #merged = new Frame();
  readonly #mergedReceiver: MergedReceiver | undefined;
  readonly #timer: NodeJS.Timeout;
  #sink: ((frame: Frame) => void) | undefined;
  /** When the pump last took packets, ms. */
  #taken = 0;
  #wake: ((more: boolean) => void) | undefined;
  #waking = false;
  #closed = false;

  /** Use `openLive`. */
  constructor(options: LiveOptions, senders: RawSenders) {
    this.#options = options;
    this.#clock = options.clock;
    this.#senders = senders;
    this.#mergedReceiver = options.system && new MergedReceiver(options.system);
    const mtus = options.interfaces.map((name) => linkFacts(name)?.mtu ?? ETHERNET_MTU);
    this.#maxMtu = Math.max(ETHERNET_MTU, ...mtus);
    this.#mtu = this.#maxMtu;
    this.#queues = this.#newQueues();
    this.#timer = setInterval(() => {
      for (const capture of this.#captures.values()) capture.tick();
      this.#updateMtu();
      this.#resolve(true);
    }, options.tick ?? 100);
  }

  /** Starts to capture on an interface. Throws LvsError where that is not possible. */
  async listen(name: string, bufferBytes = this.#options.bufferBytes ?? 16 * 1024 * 1024): Promise<void> {
    if (this.#captures.has(name)) return;
    const { bufferTimeout = 0, notice } = this.#options;
    const interfaceCapture: InterfaceCapture = new InterfaceCapture({
      interface: name,
      bufferBytes,
      bufferTimeout,
      received: (capture, captured, length) =>
        this.#received(capture, captured, length, interfaceCapture.interfaceIndex, this.#queues.known),
      receivedFirst: (capture, captured, length) =>
        this.#received(capture, captured, length, interfaceCapture.interfaceIndex, this.#queues.first),
      mayReadFirst: () => this.#queues.wantsFirst,
      receivedMerged: (capture, captured, length) =>
        this.#received(capture, captured, length, interfaceCapture.interfaceIndex, undefined),
      openMerged: this.#mergedReceiver && ((index, longest) => this.#openMerged(index, longest)),
      notice: (what) => notice?.(name, what),
      system: this.#options.system,
    });
    await interfaceCapture.open();
    this.#captures.set(name, interfaceCapture);
    this.#updateMtu();
  }

  #updateMtu(): void {
    const mtus = [...this.#captures.values()].flatMap(({ mtu }) => mtu ?? []);
    const max = Math.max(this.#maxMtu, ...mtus);
    if (max > this.#maxMtu) {
      // Frames of the earlier queues are too short now.
      while (this.#sink && !this.#queues.isEmpty) this.#queues.drain(this.#deliver, Number.MAX_SAFE_INTEGER);
      this.#maxMtu = max;
      this.#queues = this.#newQueues();
    }
    this.#mtu = Math.min(max, ...mtus);
  }

  #newQueues(): PacketQueues {
    return new PacketQueues(this.#options.frames ?? 16_384, this.#maxMtu + TAILROOM_BYTES);
  }

  /** The interfaces that are captured on. */
  get interfaces(): readonly string[] {
    return [...this.#captures.keys()];
  }

  /** Forgets the packets that have arrived so far: another director forwards them. */
  discard(): void {
    for (const capture of this.#captures.values()) capture.poll();
    this.#queues = this.#newQueues();
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    this.#sink = sink;
    this.#taken = this.#clock();
    return this.#queues.drain(this.#deliver, budget);
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    return this.#senders.send(frame, nextHop);
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
      // Through the event loop even when packets wait: sockets and timers run between two batches.
      if (!this.#queues.isEmpty) this.#wakeSoon();
    });
  }

  losses(): LiveLosses {
    const drops = [...this.#captures.values()].map((capture) => capture.dropped);
    return {
      captureDrops: drops.reduce((total, { known }) => total + known, this.#mergedReceiver?.dropped ?? 0),
      firstCaptureDrops: drops.reduce((total, { first }) => total + first, 0),
      ringDrops: this.#counts[RING_DROPS]!,
      firstRingDrops: this.#counts[FIRST_RING_DROPS]!,
      truncated: this.#counts[TRUNCATED]! + (this.#mergedReceiver?.lost ?? 0),
      sendFailures: this.#senders.failures(),
    };
  }

  /** Ends `ready`; the captures themselves end with the process. */
  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const capture of this.#captures.values()) capture.close();
    this.#mergedReceiver?.[Symbol.dispose]();
    this.#resolve(false);
  }

  #openMerged(interfaceIndex: number, longest: number): Disposable {
    return this.#mergedReceiver!.open(interfaceIndex, longest, (bytes, at, end, segmentSize) => {
      const packetAt = at + ETHERNET_HEADER;
      const length = ipLength(bytes, packetAt, end);
      if (length > 0) this.#cut(bytes, packetAt, length, interfaceIndex, segmentSize);
      if (this.#wake && !this.#waking) this.#wakeSoon();
    });
  }

  /** Copies the IP packet of an Ethernet frame in the capture's memory into `ring`, without padding; undefined: it is merged. */
  #received(
    capture: Capture,
    captured: number,
    length: number,
    ingress: number,
    ring: FrameRing | undefined,
  ): void {
    if (captured < length) {
      this.#counts[TRUNCATED]!++;
      return;
    }
    const { bytes } = capture;
    let at = CAPTURE_OFFSET + ETHERNET_HEADER;
    if (isPriorityTag(bytes, at - 2)) at += VLAN_TAG;
    const packetLength = ipLength(bytes, at, CAPTURE_OFFSET + captured);
    if (packetLength === 0) return;
    // The socket of merged packets receives the same datagram, and knows whether it is several.
    if (ring && this.#mergedReceiver && mayBeMergedDatagram(bytes, at, packetLength)) return;
    if (!ring) this.#cut(bytes, at, packetLength, ingress, 0);
    else {
      if (ring === this.#queues.known && ring.full) this.#relieve();
      if (!ring.pushCopy(capture.words, at >>> 2, packetLength, ingress))
        this.#counts[ring === this.#queues.known ? RING_DROPS : FIRST_RING_DROPS]!++;
    }
    if (this.#wake && !this.#waking) this.#wakeSoon();
  }

  #cut(bytes: Uint8Array, at: number, length: number, ingress: number, segmentSize: number): void {
    if (this.#queues.known.full) this.#relieve();
    this.#merged.load(bytes.subarray(at, at + length));
    this.#merged.ingress = ingress;
    const segments = cutMerged(this.#merged, this.#mtu - this.reserve, this.#queues.known, segmentSize);
    if (segments === 0) this.#counts[TRUNCATED]!++;
  }

  /** Handles some packets when the ring is full while the capture goes on; bounded, so that timers still run. */
  #relieve(): void {
    if (this.#sink && this.#clock() - this.#taken < RELIEF_MS) this.#queues.known.drain(this.#deliver, 64);
  }

  /** Completes a checksum that the sender's kernel left to its network card. */
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
}

/** Reports whether a tag with VLAN id 0 is at `at`: priority alone, the frame is untagged (IEEE 802.1Q, 6.9 and 9.6). */
const isPriorityTag = (bytes: Uint8Array, at: number): boolean =>
  ((bytes[at]! << 8) | bytes[at + 1]!) === ETHERTYPE_VLAN &&
  (((bytes[at + 2]! << 8) | bytes[at + 3]!) & VLAN_ID) === 0;

/** Returns the length of the IP packet at `at`, without the frame's padding; 0 if there is none before `end`. */
function ipLength(bytes: Uint8Array, at: number, end: number): number {
  const type = (bytes[at - 2]! << 8) | bytes[at - 1]!;
  if (end - at < IPV4_HEADER) return 0;
  if (type === ETHERTYPE_IPV4) return Math.min(end - at, (bytes[at + 2]! << 8) | bytes[at + 3]!);
  if (type !== ETHERTYPE_IPV6) return 0;
  return Math.min(end - at, IPV6_HEADER + ((bytes[at + 4]! << 8) | bytes[at + 5]!));
}

/** Opens the driver on its interfaces. Needs CAP_NET_RAW. */
export async function openLive(options: LiveOptions): Promise<LivePacketIo> {
  const io = new LivePacketIo(options, await openRawSenders());
  for (const name of options.interfaces) await io.listen(name);
  return io;
}
