/** Words and ports as a little-endian machine loads them from a packet, which is how rows and records hold them. */
import { ANY4 } from '../wire/address.ts';

/** Turns a word of an `Address` into a word in packet order, or back; signed. */
export const inPacketOrder = (word: number): number =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/** The third word of an IPv4 address in packet order; the fourth is the address. */
export const MAPPED_WORD = inPacketOrder(ANY4[2]!);

/** Turns a port into a half word in packet order, or back. */
export const portInPacketOrder = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);
