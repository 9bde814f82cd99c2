/** Words and ports as a little-endian machine loads them from a packet, which is how rows and records hold them. */

/** Turns a word of an `Address` into a word in packet order, or back; signed. */
export const inPacketOrder = (word: number): number =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/** Turns a port into a half word in packet order, or back. */
export const portInPacketOrder = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);
