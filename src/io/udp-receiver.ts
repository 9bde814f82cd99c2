/** Receives the datagrams of a UDP port of this host, over both IP versions. */
import { createSocket, type Socket } from 'node:dgram';
import { LvsError } from '../model/errors.ts';
import { Frame } from '../wire/frame.ts';

/** Bytes that may wait to be read; the system's limit may be lower. */
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;

/** Receives for as long as the process lives; the frame holds the payload and is reused. Throws LvsError IO. */
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
