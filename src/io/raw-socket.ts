/** Speaks IP packets with the raw-socket package, and hides its traps; the package is loaded when first needed. */
import { LvsError } from '../model/errors.ts';

/** IPPROTO_RAW of raw(7): the packet brings its own IPv4 header, and nothing is received. */
const IPPROTO_RAW = 255;
/** SOL_IPV6 and IPV6_HDRINCL (linux/in6.h, Linux 4.5): the packet brings its own IPv6 header. */
const SOL_IPV6 = 41;
const IPV6_HDRINCL = 36;
/** SOL_SOCKET, SO_SNDBUFFORCE (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
/** Octets that may wait in the queues of the interfaces. */
const SEND_BUFFER = 8 * 1024 * 1024;

export interface RawSender {
  /**
   * Sends the packet, header and all, to where the host's routes lead for `to`, an address of the sender's family.
   * The kernel finds the MAC. False: the kernel refused it. Bounds are not checked by the package: they are the caller's.
   */
  send(bytes: Uint8Array, offset: number, length: number, to: string): boolean;
  /** Refused packets since the start, by the system's words. */
  readonly failures: ReadonlyMap<string, number>;
}

async function load(): Promise<typeof import('raw-socket')> {
  try {
    return await import('raw-socket');
  } catch (cause) {
    throw new LvsError(
      'UNAVAILABLE',
      'the package raw-socket is not there or did not build: install g++, make and python3, then run npm rebuild raw-socket',
      { cause },
    );
  }
}

/** Opens a socket that only sends; it lives as long as the process. Needs CAP_NET_RAW. */
export async function openRawSender(family: 4 | 6): Promise<RawSender> {
  const raw = await load();
  const failures = new Map<string, number>();
  let socket: ReturnType<typeof raw.createSocket>;
  try {
    socket = raw.createSocket({ protocol: IPPROTO_RAW, addressFamily: family === 4 ? 1 : 2 });
    socket.pauseRecv();
    if (family === 6) socket.setOption(SOL_IPV6, IPV6_HDRINCL, 1);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LvsError('IO', `cannot open a raw IPv${family} socket: ${why} (needs root or CAP_NET_RAW)`, {
      cause,
    });
  }
  try {
    socket.setOption(SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
  } catch {
    // Without CAP_NET_ADMIN the system's default has to do.
  }
  const { wrap } = socket;
  const sent = () => {};
  return {
    failures,
    send(bytes, offset, length, to) {
      try {
        wrap.send(bytes, offset, length, to, sent);
        return true;
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        failures.set(why, (failures.get(why) ?? 0) + 1);
        return false;
      }
    },
  };
}
