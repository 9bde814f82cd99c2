/**
 * Names of network devices that a configuration may use: a subset of the kernel's that neither a shell nor
 * nft interprets.
 */

/** A device, at most 15 characters (IFNAMSIZ, linux/if.h). */
export const DEVICE = '^\\w[\\w.@+-]{0,14}$';
/** Characters of the longest device name or label (IFNAMSIZ - 1). */
export const MAX_DEVICE_CHARACTERS = 15;
/** A device, or a label of an address, such as eth0:1. */
export const DEVICE_OR_ALIAS = `^(?=.{1,${MAX_DEVICE_CHARACTERS}}$)\\w[\\w.@+-]{0,14}(:\\w{1,11})?$`;
