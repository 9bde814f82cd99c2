/** Helpers of the kernel that programs call, by their numbers (enum bpf_func_id in include/uapi/linux/bpf.h). */

/** r1 map, r2 key: r0 is the value's address, or 0. */
export const MAP_LOOKUP = 1;
/** r0: ns since the machine started. */
export const KTIME_GET_NS = 5;
/** r0: a random number of 32 bits. */
export const RANDOM = 7;
/** r1 context, r2 offset of the checksum, r3 from, r4 to (or a difference, where the size in r5 is 0), r5 flags and size. */
export const L4_CSUM_REPLACE = 11;
/** r1 context, r2 program array, r3 index: does not come back, unless there is no such program. */
export const TAIL_CALL = 12;
/** r1 interface index, r2 flags: r0 is what the program then has to return. */
export const REDIRECT = 23;
/** Flag of REDIRECT: the interface receives the packet (BPF_F_INGRESS). */
export const TO_INGRESS = 1;
/** r1 context, r2 octets that are to be readable. */
export const SKB_PULL_DATA = 39;
/** r1 context, r2 octets by which the packet begins later (or, below 0, earlier). */
export const XDP_ADJUST_HEAD = 44;
/** r1 context, r2 octets by which the packet grows, r3 where, r4 flags. Requires kernel 4.13, the flags below 5.2. */
export const SKB_ADJUST_ROOM = 50;

/** Flags of L4_CSUM_REPLACE: the change is one of the pseudo header; a UDP checksum of 0 stays and does not come about. */
export const PSEUDO_HEADER = 0x10;
export const MARK_MANGLED_0 = 0x20;
/** SKB_ADJUST_ROOM: behind the MAC header; segments keep their size; the room is for an outer header of that version. */
export const ROOM_MAC = 1;
export const FIXED_GSO = 1;
export const ENCAP_L3_IPV4 = 1 << 1;
export const ENCAP_L3_IPV6 = 1 << 2;
