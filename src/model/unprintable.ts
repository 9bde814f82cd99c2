/**
 * Characters that move a terminal's cursor, reverse text or end a line; removed from text that servers sent.
 */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
