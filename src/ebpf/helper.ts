/** Numbers of the kernel's helper functions that programs call (enum bpf_func_id in include/uapi/linux/bpf.h). */

/** r1: map, r2: address of the key. Returns the address of the value, or 0. */
export const MAP_LOOKUP = 1;
/** Returns the ns since boot. */
export const KTIME_GET_NS = 5;
/** Returns the number of the processor that runs the program. */
export const PROCESSOR_ID = 8;
/** r1: context, r2: offset of the checksum, r3: old value, r4: new value (size 0: the difference), r5: flags, size. */
export const L4_CSUM_REPLACE = 11;
/** r1: context, r2: program array, r3: index. Returns only if the array has no program at the index. */
export const TAIL_CALL = 12;
/** Removes the outermost VLAN tag. r1: context. Invalidates pointers to the packet. */
export const SKB_VLAN_POP = 19;
/** r1: interface index, r2: flags. Returns the value that the program has to return. */
export const REDIRECT = 23;
/** Flag of REDIRECT: the interface receives the packet (BPF_F_INGRESS). */
export const TO_INGRESS = 1;
/** r1: context, r2: number of bytes that have to be readable. */
export const SKB_PULL_DATA = 39;
/** r1: context, r2: number of bytes by which the start of the packet moves towards its end. */
export const XDP_ADJUST_HEAD = 44;
/** r1: context, r2: bytes by which the packet grows, r3: where, r4: flags. Linux 4.13; the flags below: 5.2. */
export const SKB_ADJUST_ROOM = 50;
/** Returns the 64-bit count of timer ticks. Requires Linux 5.5. */
export const JIFFIES64 = 118;

/** Flags of L4_CSUM_REPLACE: the pseudo header changed; a UDP checksum of 0 is left alone, and never the result. */
export const PSEUDO_HEADER = 0x10;
export const MARK_MANGLED_0 = 0x20;
/** Values for SKB_ADJUST_ROOM: behind the MAC header; segments keep their size; the room holds an outer IP header. */
export const ROOM_MAC = 1;
export const FIXED_GSO = 1;
export const ENCAP_L3_IPV4 = 1 << 1;
export const ENCAP_L3_IPV6 = 1 << 2;
/** And with it GRE, or UDP. */
export const ENCAP_L4_GRE = 1 << 3;
export const ENCAP_L4_UDP = 1 << 4;

/**
 * r1: number of calls, r2: function, r3: second argument of the function, r4: 0. Calls the function with a count from 0 until
 * it returns 1 instead of 0. Returns the number of calls. Requires Linux 5.17.
 */
export const LOOP = 181;

/** r1: context, r2: packet type (include/uapi/linux/if_packet.h). */
export const SKB_CHANGE_TYPE = 32;
/** r1: 0, r2: 0, r3: address, r4: bytes (a multiple of 4), r5: initial sum. Returns the sum (RFC 1071), not folded. */
export const CSUM_DIFF = 28;
/** Releases the socket in r1. */
export const SK_RELEASE = 86;
/** r1: context, r2: struct bpf_sock_tuple, r3: its bytes, r4: namespace, r5: 0. Returns a socket, or 0. Requires Linux 5.2. */
export const SKC_LOOKUP_TCP = 99;
