/** Hears the datagrams that come to a UDP port of this host, over either version of IP. */
import { createSocket, type Socket } from 'node:dgram';
import { LvsError } from '../model/errors.ts';
import { Frame } from '../wire/frame.ts';

/** Octets that may wait to be read; the system's limit may be lower. */
const RECEIVE_BUFFER = 8 * 1024 * 1024;

/** Listens as long as the process lives; the frame holds the payload, and is used again for the next one. */
export async function openUdpReceiver(port: number, heard: (payload: Frame) => void): Promise<void> {
  const frame = new Frame();
  // A host without IPv6 has IPv4 alone.
  const socket = await bound('udp6', port).catch(() => bound('udp4', port));
  socket.on('message', (payload) => {
    if (frame.load(payload)) heard(frame);
  });
  socket.setRecvBufferSize(RECEIVE_BUFFER);
}

const bound = (type: 'udp4' | 'udp6', port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = createSocket(type);
    socket.once('error', (cause) =>
      reject(new LvsError('IO', `cannot listen on UDP port ${port}: ${cause.message}`, { cause })),
    );
    socket.bind(port, () => resolve(socket));
  });
