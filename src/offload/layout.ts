/** Layout of the map of services, which tells programs the packets that the director has to see. */

/* Key of the map of services: address (IPv4: four bytes, then zeros), port in network byte order, protocol, version. */
export const SERVICE_KEY = 20;
export const SERVICE_ADDRESS = 0;
export const SERVICE_PORT = 16;
export const SERVICE_PROTOCOL = 18;
export const SERVICE_VERSION = 19;
/* Its values: flags (4 bytes), number of the service's record (4; 0: its first packets go up to the director). */
export const SERVICE_VALUE = 8;
export const SERVICE_NUMBER = 4;

/* Flags: which packets without a known flow are sent to the director. */
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
