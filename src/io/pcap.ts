/** Captures packets with the pcap package and works around its faults; loads the package when first needed. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { LvsError } from '../model/errors.ts';
import type { System } from '../sys/system.ts';
import { loadNativePackage } from './native-package.ts';

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
  /** Reports whether packets that wait may be read when the kernel reports them; undefined: always. */
  readonly mayRead?: () => boolean;
}

/** Bytes before the packet in `Capture.bytes`, so that the packet behind an Ethernet header is aligned to four bytes. */
export const CAPTURE_OFFSET = 2;

/**
 * A capture. A session closes only when another packet arrives after `beginClose`, and must then be read outside of the
 * watcher, which would use freed memory; a session of a deleted interface receives none, and is released by `abandon`.
 */
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
  /** Sends an Ethernet frame to the interface, and so to all its other captures. Throws where the interface is down. */
  inject(frame: Uint8Array): void;
  /** Passes on no packets from now on. Only `finishClose` and `abandon` may follow. */
  beginClose(): void;
  /** Closes the session if a packet has arrived since `beginClose`. */
  finishClose(): 'closed' | 'waiting' | 'deleted';
  /** Releases the memory of a session whose interface was deleted, and its descriptor if its watcher has stopped. */
  abandon(system: System): void;
}

/** Called for each packet with its captured length and its length on the wire, bytes. */
export type ReceivedPacket = (captured: number, length: number) => void;

type PcapPackage = typeof import('pcap');

/** Indices in the package's packet header: seconds, microseconds, captured length, length on the wire; host order. */
const CAPTURED = 2;
const LENGTH = 3;

/** Starts a capture. `received` is called from inside `poll` and from the event loop. Throws LvsError. */
export async function openCapture(options: CaptureOptions, received: ReceivedPacket): Promise<Capture> {
  const pcap = await loadNativePackage<PcapPackage>('pcap', 'libpcap-dev, ');
  // The package warns of interfaces without an IPv4 address, which are valid here.
  pcap.warningHandler = () => {};
  const memory = new ArrayBuffer(CAPTURE_OFFSET + options.snapLength + 8 - (options.snapLength % 4));
  const header = new Uint32Array(4);
  // Overrides the package's hook, which would allocate two objects per packet and emit an event.
  let isOpen = true;
  /** Set when the watcher calls after `beginClose`; it calls once, with the error, when the interface was deleted. */
  let hasWatcherStopped = false;
  class Session extends pcap.PcapSession {
    override on_packet_ready(): void {
      if (isOpen) received(header[CAPTURED]!, header[LENGTH]!);
    }
  }
  const before = socketDescriptors();
  const session = openSession(Session, options);
  const [own] = [...socketDescriptors()].filter(([descriptor]) => !before.has(descriptor));
  const packet = Buffer.from(memory, CAPTURE_OFFSET, options.snapLength);
  const headerOctets = Buffer.from(header.buffer);
  session.buf = packet;
  session.header = headerOctets;
  let wakeups = 0;
  session.session.read_callback = () => {
    wakeups++;
    // The kernel reports them again in the next turn of the event loop.
    if (options.mayRead?.() ?? true) session.session.dispatch(packet, headerOctets);
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
    inject: (frame) => session.inject(Buffer.from(frame)),
    beginClose() {
      isOpen = false;
      session.session.read_callback = () => {
        hasWatcherStopped = true;
      };
      session.session.close();
      kept.add(session);
    },
    finishClose() {
      const result = session.session.dispatch(packet, headerOctets);
      return result === BROKEN_OFF ? 'closed' : result === -1 ? 'deleted' : 'waiting';
    },
    abandon(system) {
      if (!own) return;
      const [descriptor, inode] = own;
      for (const { start, length } of mappingsOf(inode)) system.munmap(start, length);
      // The event loop would refuse the number of a descriptor that it still watches.
      if (hasWatcherStopped) system.close(descriptor);
    },
  };
}

/** Sessions that were closed: the event loop still has their handles, which must not be freed. */
const kept = new Set<unknown>();

/** Result of a read that ended the session (PCAP_ERROR_BREAK). */
const BROKEN_OFF = -2;

/** Returns the inodes of the sockets of this process, by descriptor. */
function socketDescriptors(): ReadonlyMap<number, string> {
  const sockets = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${name}`)) ?? [];
      if (inode !== undefined) sockets.set(Number(name), inode);
    } catch {
      // The descriptor of the listing itself has been closed.
    }
  }
  return sockets;
}

/** Returns the mappings of a socket, its packet ring, in the memory of this process (proc_pid_maps(5)). */
function mappingsOf(inode: string): { readonly start: number; readonly length: number }[] {
  return readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.endsWith(`socket:[${inode}]`))
    .map((line) => {
      const [from, to] = line
        .split(' ')[0]!
        .split('-')
        .map((text) => Number.parseInt(text, 16));
      return { start: from!, length: to! - from! };
    });
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
