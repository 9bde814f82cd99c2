/** Names of network devices that a configuration may use: of what the kernel allows, what neither a shell nor nft reads as more than a name. */

/** A device, 15 letters at most (IFNAMSIZ, linux/if.h). */
export const DEVICE = '^\\w[\\w.@+-]{0,14}$';
/** Letters of a device's name, and of an alias's as well: the kernel has no room for more. */
export const LONGEST_NAME = 15;
/** A device, or the old name of an alias, such as eth0:1. */
export const DEVICE_OR_ALIAS = `^(?=.{1,${LONGEST_NAME}}$)\\w[\\w.@+-]{0,14}(:\\w{1,11})?$`;
