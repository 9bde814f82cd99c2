/** Templates: which clients count as one, and for how long. */

/** Persistence engines, by the name that ipvsadm --pe takes. */
export const engineNames: readonly string[] = ['sip'];
