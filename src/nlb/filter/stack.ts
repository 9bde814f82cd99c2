/** The filter's stack: offsets from the frame pointer. */
import type { Family } from '../../offload/parse.ts';

/** The tuple of the connection as struct bpf_sock_tuple: client, cluster, their ports; packet order. */
export const TUPLE = -40;
/** IP protocol number (8 bytes). */
export const PROTOCOL = -48;
/** Not 0: a first packet of TCP (8 bytes). */
export const IS_FIRST = -56;
/** Not 0: of a connection that has a socket here (8 bytes). */
export const IS_KNOWN = -72;
/** Key of a map (4 bytes). */
export const KEY = -64;
/** Bytes of the ports at the start of a transport header. */
export const PORTS = 4;

export const clusterAt = ({ address }: Family): number => TUPLE + address;
export const portsAt = ({ address }: Family): number => TUPLE + 2 * address;
