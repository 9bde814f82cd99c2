/** Listens on one interface, through its going down, its deletion and its return. */

import { type LinkFacts, linkFacts } from '../host/link-facts.ts';
import { LvsError } from '../model/errors.ts';
import { ETHERNET_HEADER } from '../wire/ethernet.ts';
import { type Capture, openCapture } from './pcap.ts';

export interface EarOptions {
  readonly interface: string;
  /** Octets of the kernel's buffer for packets of ordinary length. */
  readonly bufferOctets: number;
  /** ms that the kernel may hold packets back; 0: each is heard at once. */
  readonly bufferTimeout: number;
  /** Called for a frame of Ethernet in the capture's memory: octets that are there, and that it had. */
  readonly heard: HeardFrame;
  /** The same for a frame longer than the link's MTU: several merged into one. */
  readonly heardMerged: HeardFrame;
  readonly notice: (what: 'deleted' | 'back' | 'polling') => void;
}

export type HeardFrame = (capture: Capture, captured: number, length: number) => void;

/** Octets of the longest frame: an IP packet of 65,535 octets and its Ethernet header. */
const LONGEST = 65_535 + ETHERNET_HEADER;
/**
 * Octets of the kernel's buffer for merged packets. It is a second one because each place of a buffer is as large as
 * the longest packet, in immediate mode (TPACKET_V2): 128 KiB instead of 2.
 */
const MERGED_BUFFER = 32 * 1024 * 1024;
/** Ticks at which packets came that the watcher had not told of: it is dead. */
const SILENT_TICKS = 2;

/**
 * What is heard: IP in both versions, addressed to this host and not sent by it. Not the word `inbound`: with it the
 * first packet that matches is lost. Not ports: later fragments have none. Not what a VLAN's own interface gets.
 */
export const captureFilter = (mac: string): string =>
  `(ip or ip6) and ether dst ${mac} and not ether src ${mac} and not vlan`;

export class Ear {
  readonly #options: EarOptions;
  #captures: readonly Capture[] = [];
  /** What the captures were opened for. */
  #facts: LinkFacts | undefined;
  /** Captures cannot be closed: those of an earlier number are not listened to. */
  #generation = 0;
  #opening = false;
  /** The watchers' calls at the last tick. */
  #wakeups = 0;
  #silentTicks = 0;
  #poller: NodeJS.Timeout | undefined;
  /** Drops of captures that are gone. */
  #dropped = 0;
  #heard = 0;

  constructor(options: EarOptions) {
    this.#options = options;
  }

  /** Starts to listen. Throws where there is no such interface or no permission. */
  async open(): Promise<void> {
    this.#opening = true;
    try {
      await this.#listen();
    } finally {
      this.#opening = false;
    }
  }

  async #listen(): Promise<void> {
    const { interface: name, bufferOctets, bufferTimeout, heard, heardMerged } = this.#options;
    const facts = linkFacts(name);
    if (!facts) throw new LvsError('IO', `no interface ${name} here (ip link lists them)`);
    const usual = facts.mtu + ETHERNET_HEADER;
    const generation = ++this.#generation;
    const listen = async (which: string, snapLength: number, octets: number, tell: HeardFrame) => {
      const filter = `${captureFilter(facts.mac)} and ${which}`;
      const options = { interface: name, filter, snapLength, bufferOctets: octets, bufferTimeout };
      const capture: Capture = await openCapture(options, (captured, length) => {
        if (generation !== this.#generation) return;
        this.#heard = (this.#heard + 1) | 0;
        tell(capture, captured, length);
      });
      return capture;
    };
    const short = await listen(`less ${usual}`, usual, bufferOctets, heard);
    if (short.linkType !== 'LINKTYPE_ETHERNET')
      throw new LvsError('UNAVAILABLE', `${name} is no Ethernet interface (${short.linkType})`);
    const merged = await listen(`greater ${usual + 1}`, LONGEST, MERGED_BUFFER, heardMerged);
    this.#captures = [short, merged];
    this.#facts = facts;
  }

  /** Packets that the kernel dropped for want of room. */
  get dropped(): number {
    return this.#captures.reduce((total, capture) => total + capture.dropped(), this.#dropped);
  }

  /** To be called at intervals: finds out what no event tells. */
  tick(): void {
    if (this.#captures.length > 0) this.#lookAfter();
    else if (!this.#opening && linkFacts(this.#options.interface)?.up) this.#reopen();
  }

  close(): void {
    clearInterval(this.#poller);
  }

  /** Reads without having been woken: watchers stop for ever when the interface goes down, and say nothing. */
  #lookAfter(): void {
    const before = this.#heard;
    let wakeups = 0;
    for (const capture of this.#captures) wakeups += capture.wakeups;
    const woken = wakeups !== this.#wakeups;
    this.#wakeups = wakeups;
    if (!this.#poll() || !this.#isSame()) {
      this.#dropped = this.dropped;
      this.#captures = [];
      this.#generation++;
      clearInterval(this.#poller);
      this.#poller = undefined;
      this.#options.notice('deleted');
      return;
    }
    if (woken) this.#silentTicks = 0;
    else if (this.#heard !== before) this.#silentTicks++;
    if (this.#silentTicks < SILENT_TICKS || this.#poller) return;
    this.#poller = setInterval(() => this.#poll(), 1);
    this.#options.notice('polling');
  }

  /** False after the interface became another: deleted and made anew, or with another MAC address or MTU. */
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
