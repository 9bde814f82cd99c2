/** The forwarder's stack: offsets of what is kept there between its fragments, from the frame pointer. */

/** Packets that the packet counts as, and their bytes (8 bytes each). */
export const PACKETS = -16;
export const OCTETS = -120;
/** `track` and `timeout` of the row, as they were before its key was read (8 bytes). */
export const TRACKED = -24;
/** Flags of the TCP segment (8 bytes). */
export const FLAGS = -32;
/** The new address (16 bytes, IPv4: the first 4) and the new port (8 bytes). */
export const NEW_ADDRESS = -48;
export const NEW_PORT = -56;
/** Byte offsets of the home and of the row that was found; NOT_FOUND: none yet (8 bytes each). */
export const HOME = -64;
export const FOUND = -72;
export const NOT_FOUND = -1;
/** Pointer to the destination's record (8 bytes). */
export const RECORD = -80;
/** Number of the destination (8 bytes). */
export const DESTINATION_NUMBER = -88;
/** Changes of checksums by the address and by the port (8 bytes each). */
export const ADDRESS_CHANGE = -96;
export const PORT_CHANGE = -104;
/** Byte offset of the row that is compared (8 bytes). */
export const CANDIDATE = -112;
/** Bytes of the outer header that a tunnel adds (8 bytes). */
export const OVERHEAD = -128;

/* While a new connection is admitted. */

/** Number of the service's record, number of its scheduler (8 bytes each). */
export const SERVICE_NUMBER = -144;
export const SCHEDULER_NUMBER = -152;
/** Number of the next hop of replies (8 bytes). */
export const CLIENT_HOP = -160;
/** Key of the map of clients (20 bytes). */
export const CLIENT_KEY = -184;
/** Byte offset of the row that is made (8 bytes). */
export const MADE = -216;
/** The tick of now (8 bytes). */
export const TICK = -192;
/** `track` of the connection that the new one takes the place of (0: none), and the number of its destination (8 bytes each). */
export const FORMER_TRACK = -200;
export const FORMER_DESTINATION = -208;
/** 1 if the table is nearly full, and 1 if the time of the row that gives way is up (8 bytes each). */
export const CROWDED = -224;
export const DUE = -232;
/** Byte offset of the home of the row that gives way (8 bytes). */
export const FORMER_HOME = -240;
/** Key of the map of deny and allow lists (24 bytes). */
export const ACCESS_KEY = -264;

/** What the packet's mark leads to, see markedService in marks.ts (8 bytes). */
export const MARK_SERVICE = -272;
/** A value of PLACE (scratch.ts, 8 bytes). */
export const PLACE = -280;
/** Not 0 if replies of all destinations of the service bypass the director (8 bytes). */
export const BYPASSED = -288;

/* While a template is looked up, by a separate program: client network and virtual address, and the row's first words. */

export const NETWORK = -160;
export const VIRTUAL = -176;
export const TEMPLATE_KEY = -184;
export const TEMPLATE_PORT = -192;
