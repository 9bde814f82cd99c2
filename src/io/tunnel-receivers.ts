/** Receives the packets of tunnels that end at this host: those of an IP protocol, or the datagrams of a UDP port. */
import { createSocket, type Socket } from 'node:dgram';
import { LvsError } from '../model/errors.ts';
import { Frame, HEADROOM } from '../wire/frame.ts';
import { loadNativePackage } from './native-package.ts';
import type { RawSocketPackage } from './raw-socket.ts';

/** SOL_SOCKET, SO_RCVBUFFORCE (asm-generic/socket.h). */
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** Bytes that may wait to be read; the system's limit may be lower. */
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
/** Maximum number of packets read at one wake-up, so that timers can run. */
const PACKETS_PER_WAKEUP = 128;

/** The part of the package's C++ half that receiving needs. */
interface ReceivingWrap {
  /** Throws if no packet waits. */
  recv(into: Buffer, received: (buffer: Buffer, octets: number) => void): void;
  removeAllListeners(event: string): void;
  on(event: string, listener: () => void): void;
}

/** Keeps references: the package closes a socket that is garbage-collected, although it is in use. */
const open = new Set<object>();

/** Called for each packet; the frame is reused for the next one. */
export type ReceivedPacket = (packet: Frame) => void;

/**
 * Receives the packets of an IP protocol for as long as the process lives, with the raw-socket package. IPv4 packets are reassembled and include the header; IPv6 packets do not
 * (RFC 3542 section 3). Needs CAP_NET_RAW. Throws LvsError.
 */
export async function openRawReceiver(
  family: 4 | 6,
  protocol: number,
  receive: ReceivedPacket,
): Promise<void> {
  const raw = await loadNativePackage<RawSocketPackage>('raw-socket');
  const frame = new Frame();
  const buffer = Buffer.from(frame.bytes.buffer, HEADROOM);
  let octets = 0;
  const received = (_buffer: Buffer, read: number) => {
    octets = read;
  };
  try {
    const socket = raw.createSocket({ protocol, addressFamily: family === 4 ? 1 : 2 });
    const wrap = socket.wrap as unknown as ReceivingWrap;
    // Replaces the package's listener, which reads one packet per wake-up and copies it.
    wrap.removeAllListeners('recvReady');
    wrap.on('recvReady', () => {
      for (let i = 0; i < PACKETS_PER_WAKEUP; i++) {
        try {
          wrap.recv(buffer, received);
        } catch {
          // No packet waits.
          return;
        }
        frame.start = HEADROOM;
        frame.end = HEADROOM + octets;
        receive(frame);
      }
    });
    open.add(socket);
    enlarge(socket);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LvsError('IO', `raw socket of IP protocol ${protocol}: cannot open: ${reason}`, { cause });
  }
}

function enlarge(socket: { setOption(level: number, option: number, value: number): void }): void {
  try {
    socket.setOption(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
  } catch {
    // Without CAP_NET_ADMIN in the initial user namespace, the default size applies.
  }
}

/** Receives datagrams over both IP versions for as long as the process lives; the frame holds the payload and is reused. Throws LvsError IO. */
export async function openUdpReceiver(port: number, receive: (payload: Frame) => void): Promise<void> {
  const frame = new Frame();
  // A host without IPv6 has only IPv4.
  const socket = await bound('udp6', port).catch(() => bound('udp4', port));
  socket.on('message', (payload) => {
    if (frame.load(payload)) receive(frame);
  });
  socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
}

const bound = (type: 'udp4' | 'udp6', port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(type);
    socket.once('error', (cause) =>
      reject(new LvsError('IO', `UDP port ${port}: cannot listen: ${cause.message}`, { cause })),
    );
    socket.bind(port, () => resolve(socket));
  });
