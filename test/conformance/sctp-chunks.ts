/** The SCTP chunks that the recorded ends sent, by the name that steps have for them. */
import { uint } from './octets.ts';

/** Type and value of each (RFC 9260 section 3.3). */
export const SCTP_CHUNKS: Readonly<Record<string, readonly [type: number, value: Buffer]>> = {
  init: [1, uint(4, 0x11223344, 4, 65_535, 2, 1, 2, 1, 4, 1)],
  initack: [2, uint(4, 0x55667788, 4, 65_535, 2, 1, 2, 1, 4, 1)],
  cookie: [10, Buffer.from('COOK')],
  cookieack: [11, Buffer.alloc(0)],
  data: [0, Buffer.concat([uint(4, 1, 2, 0, 2, 0, 4, 0), Buffer.from('data')])],
  sack: [3, uint(4, 1, 4, 65_535, 2, 0, 2, 0)],
  shutdown: [7, uint(4, 1)],
  shutdownack: [8, Buffer.alloc(0)],
  shutdowncomp: [14, Buffer.alloc(0)],
  abort: [6, Buffer.alloc(0)],
  heartbeat: [4, Buffer.concat([uint(2, 1, 2, 8), Buffer.from('beat')])],
  heartbeatack: [5, Buffer.concat([uint(2, 1, 2, 8), Buffer.from('beat')])],
};
