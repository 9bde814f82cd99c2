/** Characters that move a terminal's cursor, turn text round or end a line: what servers say is shown to people. */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
