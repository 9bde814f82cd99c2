/** Names of network devices that a configuration may use: of what the kernel allows, what neither a shell nor nft reads as more than a name. */

/** A device, 15 letters at most (IFNAMSIZ, linux/if.h). */
export const DEVICE = '^\\w[\\w.@+-]{0,14}$';
/** A device, or the old name of an alias, such as eth0:1. */
export const DEVICE_OR_ALIAS = '^\\w[\\w.@+-]{0,14}(:\\w{1,11})?$';
