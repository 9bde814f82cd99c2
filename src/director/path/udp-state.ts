/** UDP has one state, which is never active. */

/** Name as in ipvsadm -Lc. */
export const UDP_STATES = ['UDP'] as const;

/** Seconds. */
export const UDP_TIMEOUT_S = 300;
