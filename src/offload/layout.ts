/**
 * Layout of the memory that the director shares with its programs: slots of the flow table, the actions that slots
 * refer to, keys of services. Numbers are little-endian; values from packets keep the packets' byte order.
 *
 * Slot of an IPv4 flow, 32 bytes, half a cache line:
 *   0      4           8     12    16     20  24
 *   +------+-----------+-----+-----+------+---+--------+
 *   |source|destination|ports|state|action|TCP| counts |     TCP: reserved for the connection's state
 *   +------+-----------+-----+-----+------+---+--------+
 *
 * Slot of an IPv6 flow, 64 bytes:
 *   0       16           32    36    40     44      48  56
 *   +-------+------------+-----+-----+------+-------+---+--------+
 *   |source |destination |ports|state|action|       |TCP| counts |
 *   +-------+------------+-----+-----+------+-------+---+--------+
 *
 * Action, 64 bytes:
 *   0    4         8   14  20  22   24         40             56   58     60     62
 *   +----+---------+---+---+---+----+----------+--------------+----+------+------+-------+
 *   |kind|interface|to |from|MTU|VLAN|new      |tunnel source,|new |change|change|change |
 *   |    |         |MAC|MAC |   |    |address  |change of port|port|of IP |of L4 |of addr|
 *   +----+---------+---+---+---+----+----------+--------------+----+------+------+-------+
 *    Changes are those of RFC 1624 (~m + m'), folded. They depend on the virtual service and the destination only.
 */

/** Bytes of a slot, and offsets in it. */
export interface SlotLayout {
  readonly size: 32 | 64;
  readonly source: number;
  readonly destination: number;
  /** Source port, destination port: the first four bytes of the transport header. */
  readonly ports: number;
  /** Follows the ports, so that one 64-bit comparison covers both. */
  readonly state: number;
  readonly action: number;
  /** Packets in the upper 24 bits, bytes in the lower 40, so that one atomic addition counts both. */
  readonly counts: number;
}

export const SLOTS: Readonly<Record<4 | 6, SlotLayout>> = {
  4: { size: 32, source: 0, destination: 4, ports: 8, state: 12, action: 16, counts: 24 },
  6: { size: 64, source: 0, destination: 16, ports: 32, state: 36, action: 40, counts: 56 },
};
export const PACKET_SHIFT = 40;

/* States of a slot. All others are those of `liveState`. */
export const FREE = 0;
/** Removed; programs may still read it, so it must not be written before a grace period has passed. */
export const DEAD = 0x80000000;
const LIVE = 0x10000;

/** Returns the state of a slot that matches packets of this protocol. */
export const liveState = (version: 4 | 6, protocol: number): number => LIVE | (version << 8) | protocol;

/** Slots that a flow may be in, from the one that its hash selects on; a lookup reads all of them. */
export const PROBES = 16;

export const ACTION = 64;
export const ACTION_KIND = 0;
export const ACTION_INTERFACE = 4;
/** Both MAC addresses, in the order of a frame: destination, source. */
export const ACTION_MACS = 8;
/** Bytes of the longest IP packet that the action accepts: the link's MTU less a tunnel's headers. */
export const ACTION_MTU = 20;
/** Tag control information as in a frame; 0: no tag. XDP only: under tc the interface is the VLAN's. */
export const ACTION_VLAN = 22;
/** The new address; an IPv4 address takes the first four bytes. */
export const ACTION_ADDRESS = 24;
export const ACTION_SOURCE = 40;
export const ACTION_PORT_CHANGE = 40;
export const ACTION_PORT = 56;
/** Change of the IPv4 checksum by address and time to live; in a tunnel the sum of the outer header's fixed words. */
export const ACTION_HEADER_CHANGE = 58;
/** Change of the transport checksum by address and port. */
export const ACTION_TRANSPORT_CHANGE = 60;
export const ACTION_ADDRESS_CHANGE = 62;

/** What an action does with a packet. Written last, read first: `withdrawn` sends packets to the director at once. */
export const KINDS = {
  withdrawn: 0,
  /** Direct routing: sets the next hop only. */
  route: 1,
  /** NAT, requests. */
  toDestination: 2,
  /** NAT, replies. */
  toClient: 3,
  /** Tunnel over IPv4 (RFC 2003). */
  tunnel4: 4,
  /** Tunnel over IPv6 (RFC 2473). */
  tunnel6: 5,
} as const;

/* Key of the map of services: address (IPv4: four bytes, then zeros), port in network byte order, protocol, version. */
export const SERVICE_KEY = 20;
export const SERVICE_ADDRESS = 0;
export const SERVICE_PORT = 16;
export const SERVICE_PROTOCOL = 18;
export const SERVICE_VERSION = 19;
export const SERVICE_VALUE = 4;

/* Flags of its values: which packets without a known flow are sent to the director. */
/** Packets to this address and port; port 0: to any port. */
export const TO_SERVICE = 1;
/** Packets from this address and port; port 0: from any port. */
export const FROM_SERVER = 2;
/** Fragments and, with protocol ICMP, ICMP errors to this address. */
export const PIECE_TO_SERVICE = 4;
/** Fragments and ICMP errors from this address. */
export const PIECE_FROM_SERVER = 8;
/** With port 0 and protocol 0: an address of the host itself. Packets of real servers to it are left to the host. */
export const OWN_ADDRESS = 16;
