/** Hears packets with the pcap package, and hides its traps; the package is loaded when first needed. */
import { LvsError } from '../model/errors.ts';

export interface CaptureOptions {
  readonly interface: string;
  /** In pcap-filter(7)'s language. A filter that does not compile throws and leaks a descriptor. */
  readonly filter: string;
  /** Octets kept of a packet. */
  readonly snapLength: number;
  /** Octets of the kernel's buffer. */
  readonly bufferOctets: number;
  /** ms the kernel collects packets before it wakes us; 0: each at once. */
  readonly bufferTimeout: number;
}

/** Octets before the packet in `Capture.bytes`, so that what follows an Ethernet header is aligned to four. */
export const CAPTURE_OFFSET = 2;

/** A capture that lives as long as the process: a live session cannot be closed without memory being used after its release. */
export interface Capture {
  /** The packet being handed over begins at CAPTURE_OFFSET; the same octets again, as words. Overwritten by the next one. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Whole frames of Ethernet, or another of pcap's LINKTYPE_ names. */
  readonly linkType: string;
  /** Times that the descriptor's watcher called; it stops for ever when the interface goes down. */
  readonly wakeups: number;
  /** Hands over what waits; false: the interface was deleted, and this capture will hear nothing more. */
  poll(): boolean;
  /** Packets that the kernel dropped for want of room since the start. */
  dropped(): number;
}

/** Called for each packet: octets that are there, and octets that it had on the wire. */
export type Heard = (captured: number, length: number) => void;

type PcapPackage = typeof import('pcap');

async function load(): Promise<PcapPackage> {
  try {
    const loaded = (await import('pcap')) as PcapPackage & { default?: PcapPackage };
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new LvsError(
      'UNAVAILABLE',
      'the package pcap is not there or did not build: install libpcap-dev, g++, make and python3, then run npm rebuild pcap',
      { cause },
    );
  }
}

/** Offsets in the header of pcap's JavaScript side: seconds, microseconds, octets captured, octets on the wire; host order. */
const CAPTURED = 2;
const LENGTH = 3;

/** Starts to listen; `heard` is called from inside `poll` and from the event loop. */
export async function openCapture(options: CaptureOptions, heard: Heard): Promise<Capture> {
  const pcap = await load();
  // An interface without an IPv4 address is no reason for a warning.
  pcap.warningHandler = () => {};
  const memory = new ArrayBuffer(CAPTURE_OFFSET + options.snapLength + 8 - (options.snapLength % 4));
  const header = new Uint32Array(4);
  // The package would make two objects a packet and emit them; its own hook for a packet is taken instead.
  class Session extends pcap.PcapSession {
    override on_packet_ready(): void {
      heard(header[CAPTURED]!, header[LENGTH]!);
    }
  }
  const session = openSession(Session, options);
  const packet = Buffer.from(memory, CAPTURE_OFFSET, options.snapLength);
  const headerOctets = Buffer.from(header.buffer);
  session.buf = packet;
  session.header = headerOctets;
  let wakeups = 0;
  session.session.read_callback = () => {
    wakeups++;
    session.session.dispatch(packet, headerOctets);
  };
  return {
    bytes: new Uint8Array(memory),
    words: new Uint32Array(memory, 0, memory.byteLength >>> 2),
    view: new DataView(memory),
    linkType: session.link_type,
    get wakeups() {
      return wakeups;
    },
    poll: () => session.session.dispatch(packet, headerOctets) !== -1,
    dropped: () => session.stats().ps_drop,
  };
}

function openSession(Session: PcapPackage['PcapSession'], options: CaptureOptions) {
  try {
    return new Session(
      true,
      options.interface,
      options.filter,
      options.bufferOctets,
      options.snapLength,
      null,
      false,
      options.bufferTimeout,
      false,
    );
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LvsError('IO', `cannot listen on ${options.interface}: ${why.trim()}`, { cause });
  }
}
