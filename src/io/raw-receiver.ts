/** Hears the IP packets of one protocol that are addressed to this host, with the raw-socket package. */
import { LvsError } from '../model/errors.ts';
import { Frame, HEADROOM } from '../wire/frame.ts';

/** SOL_SOCKET, SO_RCVBUFFORCE (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** Octets that may wait to be read. */
const RECEIVE_BUFFER = 8 * 1024 * 1024;
/** Packets read at one wake-up, so that timers have their turn. */
const BATCH = 128;

/** The part of the package's C++ half that is used, besides what sending needs. */
interface ReceivingWrap {
  /** Throws when nothing waits. */
  recv(into: Buffer, received: (buffer: Buffer, octets: number) => void): void;
  removeAllListeners(event: string): void;
  on(event: string, listener: () => void): void;
}

/** The package closes a socket that nobody refers to, whether it is listened to or not. */
const open = new Set<object>();

/** The frame is used again for the next packet. */
export type HeardPacket = (packet: Frame) => void;

/**
 * Listens as long as the process lives. Over IPv4 packets come whole and reassembled, header and all; over IPv6
 * without the header (RFC 3542 section 3). Needs CAP_NET_RAW.
 */
export async function openRawReceiver(family: 4 | 6, protocol: number, heard: HeardPacket): Promise<void> {
  const raw = await import('raw-socket').catch((cause) => {
    throw new LvsError('UNAVAILABLE', 'the package raw-socket is not there or did not build', { cause });
  });
  const frame = new Frame();
  const buffer = Buffer.from(frame.bytes.buffer, HEADROOM);
  let octets = 0;
  const received = (_buffer: Buffer, read: number) => {
    octets = read;
  };
  try {
    const socket = raw.createSocket({ protocol, addressFamily: family === 4 ? 1 : 2 });
    const wrap = socket.wrap as unknown as ReceivingWrap;
    // The package's own listener reads one packet a wake-up, and copies it.
    wrap.removeAllListeners('recvReady');
    wrap.on('recvReady', () => {
      for (let i = 0; i < BATCH; i++) {
        try {
          wrap.recv(buffer, received);
        } catch {
          // Nothing waits any more.
          return;
        }
        frame.start = HEADROOM;
        frame.end = HEADROOM + octets;
        heard(frame);
      }
    });
    open.add(socket);
    enlarge(socket);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LvsError('IO', `cannot listen for IP protocol ${protocol}: ${why}`, { cause });
  }
}

function enlarge(socket: { setOption(level: number, option: number, value: number): void }): void {
  try {
    socket.setOption(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
  } catch {
    // Without CAP_NET_ADMIN on the machine itself the system's default has to do.
  }
}
