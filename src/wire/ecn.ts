/** Explicit congestion notification: the low two bits of the TOS byte and the traffic class (RFC 3168 section 5). */

/** Mask of the ECN field. */
export const ECN_MASK = 0x03;
/** The transport is not ECN-capable. */
export const NOT_ECT = 0x00;
/** ECN-capable transport, first code point. */
export const ECT0 = 0x02;
/** Congestion experienced. */
export const CE = 0x03;
