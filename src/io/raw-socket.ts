/** Sends IP packets with the raw-socket package and works around its faults; loads the package when first needed. */
import { LvsError } from '../model/errors.ts';
import { loadNativePackage } from './native-package.ts';

/** IPPROTO_RAW of raw(7): packets include their IPv4 header, and the socket receives nothing. */
const IPPROTO_RAW = 255;
/** SOL_IPV6 and IPV6_HDRINCL (linux/in6.h, Linux 4.5): packets include their IPv6 header. */
const SOL_IPV6 = 41;
const IPV6_HDRINCL = 36;
/** SOL_SOCKET, SO_SNDBUFFORCE (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
/** Bytes that may wait in the transmit queues of the interfaces. */
const SEND_BUFFER_BYTES = 8 * 1024 * 1024;

export interface RawSender {
  /**
   * Sends the packet, header included, along the host's route to `to`, an address of the sender's family; the kernel
   * resolves the MAC address. Returns false if the kernel refused it. The caller must respect the bounds: the package
   * does not check them.
   */
  send(bytes: Uint8Array, offset: number, length: number, to: string): boolean;
  /** Refused packets since the start, by the system's error message. */
  readonly failures: ReadonlyMap<string, number>;
}

/** The raw-socket package. */
export type RawSocketPackage = typeof import('raw-socket');

/** Opens a socket that only sends; it lives as long as the process. Needs CAP_NET_RAW. Throws LvsError. */
export async function openRawSender(family: 4 | 6): Promise<RawSender> {
  const raw = await loadNativePackage<RawSocketPackage>('raw-socket');
  const failures = new Map<string, number>();
  let socket: ReturnType<typeof raw.createSocket>;
  try {
    socket = raw.createSocket({ protocol: IPPROTO_RAW, addressFamily: family === 4 ? 1 : 2 });
    socket.pauseRecv();
    if (family === 6) socket.setOption(SOL_IPV6, IPV6_HDRINCL, 1);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LvsError('IO', `raw IPv${family} socket: cannot open: ${reason} (needs root or CAP_NET_RAW)`, {
      cause,
    });
  }
  try {
    socket.setOption(SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
  } catch {
    // Without CAP_NET_ADMIN, the default size applies.
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
        const reason = error instanceof Error ? error.message : String(error);
        failures.set(reason, (failures.get(reason) ?? 0) + 1);
        return false;
      }
    },
  };
}
