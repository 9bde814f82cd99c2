/** Captures the packets of one interface, also after the interface went down or was deleted and re-created. */

import { type LinkFacts, linkFacts } from '../host/link-facts.ts';
import { LvsError } from '../model/errors.ts';
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
  /** Called for a frame longer than the link's MTU: several packets that were merged into one. */
  readonly receivedMerged: ReceivedFrame;
  /** Opens another way to receive merged packets, instead of a capture. `longest`: bytes of a frame that is not merged. */
  readonly openMerged?: ((interfaceIndex: number, longest: number) => Disposable) | undefined;
  readonly notice: (what: 'deleted' | 'back' | 'polling') => void;
}

export type ReceivedFrame = (capture: Capture, captured: number, length: number) => void;

/** Length of the longest frame, bytes: an IP packet of 65,535 bytes and its Ethernet header. */
const MAX_FRAME_BYTES = 65_535 + ETHERNET_HEADER + VLAN_TAG;
/**
 * Size of the kernel's buffer for merged packets, bytes. They have a buffer of their own because in immediate mode
 * (TPACKET_V2) each slot is as large as the longest packet: 128 KiB instead of 2.
 */
const MERGED_BUFFER_BYTES = 32 * 1024 * 1024;
/** Ticks with packets that did not wake the watcher, after which the watcher is considered dead. */
const MAX_SILENT_TICKS = 2;

/**
 * Returns the capture filter: IP of both versions, addressed to this host and not sent by it. Not by the word
 * `inbound`, which loses the first packet that matches. Not by ports, which later fragments do not have. Not by `vlan`:
 * one word cannot tell a priority tag (VLAN id 0), whose frame is untagged by IEEE 802.1Q, from the tag of a VLAN.
 */
export const captureFilter = (mac: string): string =>
  `(ip or ip6) and ether dst ${mac} and not ether src ${mac}`;

export class InterfaceCapture {
  readonly #options: InterfaceCaptureOptions;
  #captures: readonly Capture[] = [];
  #merged: Disposable | undefined;
  /** The interface as it was when the captures were opened. */
  #facts: LinkFacts | undefined;
  /** Captures cannot be closed: packets of an earlier generation are ignored. */
  #generation = 0;
  #opening = false;
  /** Calls of the watchers up to the last tick. */
  #wakeups = 0;
  #silentTicks = 0;
  #poller: NodeJS.Timeout | undefined;
  /** Drops of abandoned captures. */
  #dropped = 0;
  #received = 0;

  constructor(options: InterfaceCaptureOptions) {
    this.#options = options;
  }

  /** Starts to capture. Throws LvsError where the interface is missing or permission is denied. */
  async open(): Promise<void> {
    this.#opening = true;
    try {
      await this.#openCaptures();
    } finally {
      this.#opening = false;
    }
  }

  async #openCaptures(): Promise<void> {
    const {
      interface: name,
      bufferBytes,
      bufferTimeout,
      received,
      receivedMerged,
      openMerged,
    } = this.#options;
    const facts = linkFacts(name);
    if (!facts) throw new LvsError('IO', `interface ${name}: not found (ip link lists the interfaces)`);
    const usual = facts.mtu + ETHERNET_HEADER;
    const generation = ++this.#generation;
    const openOne = async (lengths: string, snapLength: number, bytes: number, sink: ReceivedFrame) => {
      const filter = `${captureFilter(facts.mac)} and ${lengths}`;
      const options = { interface: name, filter, snapLength, bufferBytes: bytes, bufferTimeout };
      const capture: Capture = await openCapture(options, (captured, length) => {
        if (generation !== this.#generation) return;
        this.#received = (this.#received + 1) | 0;
        sink(capture, captured, length);
      });
      return capture;
    };
    // libpcap inserts the VLAN tag that the kernel has removed, after the filter has seen the frame.
    const short = await openOne(`less ${usual}`, usual + VLAN_TAG, bufferBytes, received);
    if (short.linkType !== 'LINKTYPE_ETHERNET')
      throw new LvsError('UNAVAILABLE', `interface ${name}: not an Ethernet interface (${short.linkType})`);
    this.#captures = [short];
    this.#merged = openMerged?.(facts.index, usual);
    if (!this.#merged)
      this.#captures = [
        short,
        await openOne(`greater ${usual + 1}`, MAX_FRAME_BYTES, MERGED_BUFFER_BYTES, receivedMerged),
      ];
    this.#facts = facts;
  }

  /** Index of the interface; 0 while it is missing. */
  get interfaceIndex(): number {
    return this.#facts?.index ?? 0;
  }

  /** Packets that the kernel dropped because its buffer was full. */
  get dropped(): number {
    return this.#captures.reduce((total, capture) => total + capture.dropped(), this.#dropped);
  }

  /** Detects changes that cause no event. Call it at intervals. */
  tick(): void {
    if (this.#captures.length > 0) this.#check();
    else if (!this.#opening && linkFacts(this.#options.interface)?.up) this.#reopen();
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
    if (!this.#poll() || !this.#isSame()) {
      this.#dropped = this.dropped;
      this.#captures = [];
      this.#merged?.[Symbol.dispose]();
      this.#generation++;
      clearInterval(this.#poller);
      this.#poller = undefined;
      this.#options.notice('deleted');
      return;
    }
    if (woken) this.#silentTicks = 0;
    else if (this.#received !== before) this.#silentTicks++;
    if (this.#silentTicks < MAX_SILENT_TICKS || this.#poller) return;
    this.#poller = setInterval(() => this.#poll(), 1);
    this.#options.notice('polling');
  }

  /** Reports whether the interface is still the same: not re-created, with the same MAC address and MTU. */
  #isSame(): boolean {
    const now = linkFacts(this.#options.interface);
    const then = this.#facts;
    return now?.index === then?.index && now?.mac === then?.mac && now?.mtu === then?.mtu;
  }

  #poll(): boolean {
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
