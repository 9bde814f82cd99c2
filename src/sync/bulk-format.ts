/**
 * Bulk transfers: the whole table of a director, for one that joins. Numbers are in network byte order.
 *
 * Request and answer: 'LVSB', version (1), 3 zeros, session (8 bytes), place (4). The session is random at each start of the
 * director that answers. The request names the place after the last frame that arrived in that session, or zeros; the answer
 * names where the transfer begins. Frame: place after it (4), a message of version 1, without a signature. A message without
 * entries ends the transfer.
 */
import * as v1 from './message-v1.ts';

const MAGIC = Buffer.from('LVSB\x01\0\0\0', 'latin1');
export const SESSION_BYTES = 8;
export const HELLO_BYTES = MAGIC.length + SESSION_BYTES + 4;
const PLACE_BYTES = 4;

export interface Hello {
  readonly session: Buffer;
  readonly place: number;
}

/** The request of a director that begins a transfer. */
export const FROM_START: Hello = { session: Buffer.alloc(SESSION_BYTES), place: 0 };

export function writeHello({ session, place }: Hello): Buffer {
  const into = Buffer.concat([MAGIC, session, Buffer.alloc(PLACE_BYTES)]);
  into.writeUInt32BE(place, HELLO_BYTES - PLACE_BYTES);
  return into;
}

/** Returns undefined if `from`, HELLO_BYTES long, is none. */
export function readHello(from: Buffer): Hello | undefined {
  if (!from.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const end = MAGIC.length + SESSION_BYTES;
  return { session: Buffer.from(from.subarray(MAGIC.length, end)), place: from.readUInt32BE(end) };
}

export interface Frame {
  readonly place: number;
  readonly message: Buffer;
}

/** Bytes before the length of a frame is known. */
const FRAME_HEAD_BYTES = PLACE_BYTES + v1.HEADER_BYTES;

/** Cuts a stream into frames. It keeps less than one frame. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Yields the frames that are complete. Throws an Error for what is no frame. */
  *push(chunk: Buffer): Generator<Frame> {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (data.length >= FRAME_HEAD_BYTES) {
      const message = data.subarray(PLACE_BYTES);
      const length = message.readUInt16BE(2);
      if (message[0] !== 0 || message[v1.VERSION_AT] !== v1.VERSION || length < v1.HEADER_BYTES)
        throw new Error('invalid frame');
      if (message.length < length) break;
      yield { place: data.readUInt32BE(0), message: message.subarray(0, length) };
      data = data.subarray(PLACE_BYTES + length);
    }
    this.#rest = Buffer.from(data);
  }
}

/** Returns the buffer for a frame with the bytes of its message free, and the message in it. */
export function makeFrame(maxMessageBytes: number): { frame: Buffer; message: Buffer } {
  const frame = Buffer.alloc(PLACE_BYTES + maxMessageBytes);
  return { frame, message: frame.subarray(PLACE_BYTES) };
}

/** Completes a frame whose message has `length` bytes. */
export function endFrame(frame: Buffer, place: number, length: number): Buffer {
  frame.writeUInt32BE(place, 0);
  return frame.subarray(0, PLACE_BYTES + length);
}
