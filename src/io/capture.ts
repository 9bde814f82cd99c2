/** Captures the packets of one interface, also after the interface went down or was deleted and re-created. */

import { type LinkFacts, linkFacts } from '../host/link-facts.ts';
import { LvsError } from '../model/errors.ts';
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { ETHERNET_HEADER, VLAN_TAG } from '../wire/ethernet.ts';
import { type Capture, openCapture } from './pcap.ts';

export interface InterfaceCaptureOptions {
  readonly interface: string;
  /** Size of the kernel's buffer for packets that fit the MTU, bytes. */
  readonly bufferBytes: number;
  /** How long the kernel may hold packets back, ms; 0: not at all. */
  readonly bufferTimeout: number;
  /** Called for an Ethernet frame in the capture's memory, with its captured and its original length, bytes. */
  readonly received: ReceivedFrame;
  /** Called for a frame that may begin a connection. */
  readonly receivedFirst: ReceivedFrame;
  /** Reports whether such frames may be read now; otherwise they wait in the kernel's buffer. */
  readonly mayReadFirst: () => boolean;
  /** Called for a frame longer than the link's MTU: several packets that were merged into one. */
  readonly receivedMerged: ReceivedFrame;
  /** Opens another receiver of merged packets, instead of a capture. `longest`: bytes of a frame that is not merged. */
  readonly openMerged?: ((interfaceIndex: number, longest: number) => Disposable) | undefined;
  readonly notice: (what: 'deleted' | 'back' | 'polling') => void;
  /** Releases the captures of deleted interfaces; undefined: their memory is lost. */
  readonly system?: System | undefined;
}

export type ReceivedFrame = (capture: Capture, captured: number, length: number) => void;

/** Length of the longest frame, bytes: an IP packet of 65,535 bytes and its Ethernet header. */
const MAX_FRAME_BYTES = 65_535 + ETHERNET_HEADER + VLAN_TAG;
/**
 * Size of the kernel's buffer for merged packets, bytes. They have a separate buffer because in immediate mode
 * (TPACKET_V2) each slot is as large as the longest packet: 128 KiB instead of 2.
 */
const MERGED_BUFFER_BYTES = 32 * 1024 * 1024;
/** Size of the kernel's buffer for packets that may begin a connection, bytes: about a thousand in slots of 2 KiB. */
const FIRST_BUFFER_BYTES = 2 * 1024 * 1024;
/** Ticks after which the watcher of a deleted interface has stopped. */
const WATCHER_TICKS = 3;
/** Ticks with packets that did not wake the watcher, after which the watcher is considered dead. */
const MAX_SILENT_TICKS = 2;

/**
 * Returns the capture filter: IP of both versions, addressed to this host and not sent by it. Not by the word
 * `inbound`, which loses the first packet that matches. Not by ports, which later fragments do not have. Not by `vlan`:
 * one word cannot tell a priority tag (VLAN id 0), whose frame is untagged by IEEE 802.1Q, from the tag of a VLAN.
 */
export const captureFilter = (mac: string): string =>
  `(ip or ip6) and ether dst ${mac} and not ether src ${mac}`;

/**
 * Accepts packets that may begin a connection: TCP with SYN and without ACK (RFC 9293), SCTP INIT (RFC 9260), without
 * IPv4 options and IPv6 extension headers. Those of UDP look like all others. The lengths come first: a filter that
 * reads behind the end of a packet rejects it, also where it is negated.
 */
export const FIRST_FILTER =
  '((ip and greater 48 and ip[0] & 0xf = 5 and (tcp[13] & 0x12 = 2 or sctp[12] = 1))' +
  ' or (ip6 and greater 68 and ((ip6[6] = 6 and ip6[53] & 0x12 = 2) or (ip6[6] = 132 and ip6[52] = 1))))';

/** EtherType of the frame that closes captures (IEEE 802, local experimental). Every capture accepts it and ignores it. */
const CLOSING_ETHERTYPE = 0x88b5;

/** Returns the frame, from and to the interface itself: a bridge learns nothing from it and sends it nowhere. */
function closingFrame(mac: string): Uint8Array {
  const frame = new Uint8Array(60);
  const address = mac.split(':').map((text) => Number.parseInt(text, 16));
  frame.set(address, 0);
  frame.set(address, 6);
  frame.set([CLOSING_ETHERTYPE >> 8, CLOSING_ETHERTYPE & 0xff], 12);
  return frame;
}

/** Packets that the kernel dropped because a buffer was full. */
export interface CaptureDrops {
  /** Packets of known connections, and those that look like them. */
  readonly known: number;
  /** Packets that may begin a connection. */
  readonly first: number;
}

/** Captures that receive, and do not pass on packets before `begin`, which opens the receiver of merged packets. */
interface OpenedCaptures {
  readonly captures: readonly Capture[];
  readonly first: Capture;
  readonly facts: LinkFacts;
  readonly begin: () => Disposable | undefined;
}

export class InterfaceCapture {
  readonly #options: InterfaceCaptureOptions;
  #captures: readonly Capture[] = [];
  #merged: Disposable | undefined;
  /** The interface as it was when the captures were opened. */
  #facts: LinkFacts | undefined;
  /** Captures that are about to be closed, and the ticks until they may be read. */
  #closing: { readonly capture: Capture; wait: number }[] = [];
  #opening = false;
  /** The MTU for which the captures were opened, bytes. */
  #openedMtu = 0;
  /** Calls of the watchers up to the last tick. */
  #wakeups = 0;
  #silentTicks = 0;
  #poller: NodeJS.Timeout | undefined;
  /** The one of `#captures` that receives packets that may begin a connection. */
  #first: Capture | undefined;
  /** Drops of abandoned captures. */
  #dropped: CaptureDrops = { known: 0, first: 0 };
  #received = 0;

  constructor(options: InterfaceCaptureOptions) {
    this.#options = options;
  }

  /** Starts to capture. Throws LvsError where the interface is missing or permission is denied. */
  async open(): Promise<void> {
    this.#opening = true;
    try {
      this.#begin(await this.#openCaptures());
    } finally {
      this.#opening = false;
    }
  }

  async #openCaptures(): Promise<OpenedCaptures> {
    const {
      interface: name,
      bufferBytes,
      bufferTimeout,
      received,
      receivedFirst,
      mayReadFirst,
      receivedMerged,
      openMerged,
    } = this.#options;
    const facts = linkFacts(name);
    if (!facts) throw new LvsError('IO', `interface ${name}: not found (ip link lists the interfaces)`);
    const usual = facts.mtu + ETHERNET_HEADER;
    let hasBegun = false;
    const openOne = async (
      packets: string,
      snapLength: number,
      bytes: number,
      sink: ReceivedFrame,
      mayRead = () => true,
    ) => {
      const filter = `(${captureFilter(facts.mac)} and ${packets}) or ether proto ${CLOSING_ETHERTYPE}`;
      const options = { interface: name, filter, snapLength, bufferBytes: bytes, bufferTimeout, mayRead };
      const capture: Capture = await openCapture(options, (captured, length) => {
        this.#received = (this.#received + 1) | 0;
        if (hasBegun) sink(capture, captured, length);
      });
      return capture;
    };
    // libpcap inserts the VLAN tag that the kernel has removed, after the filter has seen the frame.
    const snapLength = usual + VLAN_TAG;
    const short = await openOne(`less ${usual} and not ${FIRST_FILTER}`, snapLength, bufferBytes, received);
    if (short.linkType !== 'LINKTYPE_ETHERNET')
      throw new LvsError('UNAVAILABLE', `interface ${name}: not an Ethernet interface (${short.linkType})`);
    const firstPackets = `less ${usual} and ${FIRST_FILTER}`;
    const first = await openOne(firstPackets, snapLength, FIRST_BUFFER_BYTES, receivedFirst, mayReadFirst);
    const captures = [short, first];
    if (!openMerged)
      captures.push(
        await openOne(`greater ${usual + 1}`, MAX_FRAME_BYTES, MERGED_BUFFER_BYTES, receivedMerged),
      );
    return {
      captures,
      first,
      facts,
      begin: () => {
        hasBegun = true;
        return openMerged?.(facts.index, usual);
      },
    };
  }

  /** Passes on the packets of new captures from now on. */
  #begin({ captures, first, facts, begin }: OpenedCaptures): void {
    try {
      this.#merged = begin();
    } catch (cause) {
      // The interface was deleted meanwhile, or /sys shows another network namespace.
      this.#abandon(captures, 0);
      if (!(cause instanceof SystemCallError)) throw cause;
      throw new LvsError('IO', `interface ${this.#options.interface}: ${cause.message}`, { cause });
    }
    this.#captures = captures;
    this.#first = first;
    this.#facts = facts;
    this.#openedMtu = facts.mtu;
  }

  /** Opens captures for the longer packets of an MTU that has grown, and closes the earlier ones: no packet is lost. */
  async #enlarge(): Promise<void> {
    this.#opening = true;
    try {
      const opened = await this.#openCaptures();
      const before = this.#captures;
      if (before.length === 0) throw new LvsError('IO', `interface ${this.#options.interface}: not found`);
      // What both have received is passed on by the earlier ones.
      for (const capture of before) capture.poll();
      for (const capture of opened.captures) capture.poll();
      this.#abandon(before, 0);
      this.#begin(opened);
    } finally {
      this.#opening = false;
    }
  }

  /** Closes captures after this number of ticks. */
  #abandon(captures: readonly Capture[], wait: number): void {
    this.#dropped = this.dropped;
    for (const capture of captures) {
      capture.beginClose();
      this.#closing.push({ capture, wait });
    }
    this.#captures = [];
    this.#merged?.[Symbol.dispose]();
    this.#merged = undefined;
    clearInterval(this.#poller);
    this.#poller = undefined;
  }

  /** Index of the interface; 0 while it is missing. */
  get interfaceIndex(): number {
    return this.#facts?.index ?? 0;
  }

  /** Packets that the kernel dropped since the start. */
  get dropped(): CaptureDrops {
    let { known, first } = this.#dropped;
    for (const capture of this.#captures) {
      if (capture === this.#first) first += capture.dropped();
      else known += capture.dropped();
    }
    return { known, first };
  }

  /** The MTU of the interface, bytes. */
  get mtu(): number | undefined {
    return this.#facts?.mtu;
  }

  /** Detects changes that cause no event. Call it at intervals. */
  tick(): void {
    if (this.#captures.length > 0) this.#check();
    else if (!this.#opening && linkFacts(this.#options.interface)?.up) this.#reopen();
    if (this.#closing.length > 0) this.#close();
  }

  close(): void {
    clearInterval(this.#poller);
  }

  /** Reads without a wake-up: the watchers stop permanently, and silently, when the interface goes down. */
  #check(): void {
    const before = this.#received;
    let wakeups = 0;
    for (const capture of this.#captures) wakeups += capture.wakeups;
    const woken = wakeups !== this.#wakeups;
    this.#wakeups = wakeups;
    const now = linkFacts(this.#options.interface);
    const { index, mac } = this.#facts!;
    const exists = now?.index === index;
    // A deleted interface is not read: the watcher has to see its error in order to stop.
    const isAlive = exists && this.poll();
    // A smaller MTU, and down and up, leave a capture as it is.
    if (isAlive && now.mac === mac) {
      this.#facts = now;
      if (now.mtu > this.#openedMtu && !this.#opening) this.#enlarge().catch(() => {});
    } else {
      this.#abandon(this.#captures, isAlive ? 0 : WATCHER_TICKS);
      this.#options.notice('deleted');
      return;
    }
    if (woken) {
      this.#silentTicks = 0;
      // The watcher lives: the event loop was only too busy to call it.
      clearInterval(this.#poller);
      this.#poller = undefined;
    } else if (this.#received !== before) this.#silentTicks++;
    if (this.#silentTicks < MAX_SILENT_TICKS || this.#poller) return;
    this.#poller = setInterval(() => this.poll(), 1);
    this.#options.notice('polling');
  }

  /** Closes abandoned captures: by a frame of the new capture, or, of a deleted interface, once their watchers have stopped. */
  #close(): void {
    const { system } = this.#options;
    const [current] = this.#captures;
    if (current && this.#facts?.up) {
      try {
        current.inject(closingFrame(this.#facts.mac));
      } catch {
        // The interface has just gone down: the next tick tries again.
      }
    }
    this.#closing = this.#closing.filter((each) => {
      if (each.wait-- > 0) return true;
      const state = each.capture.finishClose();
      if (state === 'deleted' && system) each.capture.abandon(system);
      return state === 'waiting';
    });
  }

  /** Reads the packets that wait. Reports whether the interface still exists. */
  poll(): boolean {
    let alive = true;
    for (const capture of this.#captures) alive = capture.poll() && alive;
    return alive;
  }

  #reopen(): void {
    this.open().then(
      () => this.#options.notice('back'),
      () => {},
    );
  }
}
