/** Captures packets with the pcap package and works around its faults; loads the package when first needed. */
import { LvsError } from '../model/errors.ts';

export interface CaptureOptions {
  readonly interface: string;
  /** Filter in the syntax of pcap-filter(7). An invalid filter throws and leaks a descriptor. */
  readonly filter: string;
  /** Bytes captured of a packet. */
  readonly snapLength: number;
  /** Size of the kernel's buffer, bytes. */
  readonly bufferBytes: number;
  /** How long the kernel collects packets before it wakes the process, ms; 0: not at all. */
  readonly bufferTimeout: number;
}

/** Bytes before the packet in `Capture.bytes`, so that the packet behind an Ethernet header is aligned to four bytes. */
export const CAPTURE_OFFSET = 2;

/** A capture that lives as long as the process: closing a live session uses freed memory. */
export interface Capture {
  /** The current packet begins at CAPTURE_OFFSET; `words` is the same memory. Overwritten by the next packet. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Link type by pcap's LINKTYPE_ names. */
  readonly linkType: string;
  /** Number of calls by the descriptor's watcher, which stops permanently when the interface goes down. */
  readonly wakeups: number;
  /** Passes on the waiting packets; returns false if the interface was deleted and this capture is dead. */
  poll(): boolean;
  /** Packets that the kernel dropped since the start because the buffer was full. */
  dropped(): number;
}

/** Called for each packet with its captured length and its length on the wire, bytes. */
export type ReceivedPacket = (captured: number, length: number) => void;

type PcapPackage = typeof import('pcap');

async function load(): Promise<PcapPackage> {
  try {
    const loaded = (await import('pcap')) as PcapPackage & { default?: PcapPackage };
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new LvsError(
      'UNAVAILABLE',
      'package pcap: not installed, or its build failed (install libpcap-dev, g++, make and python3, then run npm rebuild pcap)',
      { cause },
    );
  }
}

/** Indices in the package's packet header: seconds, microseconds, captured length, length on the wire; host order. */
const CAPTURED = 2;
const LENGTH = 3;

/** Starts a capture. `received` is called from inside `poll` and from the event loop. Throws LvsError. */
export async function openCapture(options: CaptureOptions, received: ReceivedPacket): Promise<Capture> {
  const pcap = await load();
  // The package warns of interfaces without an IPv4 address, which are valid here.
  pcap.warningHandler = () => {};
  const memory = new ArrayBuffer(CAPTURE_OFFSET + options.snapLength + 8 - (options.snapLength % 4));
  const header = new Uint32Array(4);
  // Overrides the package's hook, which would allocate two objects per packet and emit an event.
  class Session extends pcap.PcapSession {
    override on_packet_ready(): void {
      received(header[CAPTURED]!, header[LENGTH]!);
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
      options.bufferBytes,
      options.snapLength,
      null,
      false,
      options.bufferTimeout,
      false,
    );
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LvsError('IO', `interface ${options.interface}: cannot capture: ${reason.trim()}`, { cause });
  }
}
