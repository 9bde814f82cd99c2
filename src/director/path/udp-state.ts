/** UDP has one state, and it is never active. */

/** Named as ipvsadm -Lc prints it. */
export const UDP_STATES = ['UDP'] as const;

/** Seconds. */
export const UDP_TIMEOUT = 300;
