/**
 * The layout of the records that rows refer to, and of what programs of the kernel schedule with: destinations, services,
 * next hops, settings, counters. Offsets are in bytes; all fields are little endian unless "packet order" is stated.
 * `layoutDigest` covers these numbers, too.
 *
 * **Numbers.** Records are numbered from 1; 0 is none. A number is used again only when no row names the record.
 *
 * **Growth.** Each kind of record is one array, sized for the configuration and enlarged by doubling: 65,536 records at
 * most. A larger array is a new region of the same name (memory.ts).
 *
 * **Writers.** The director alone writes records, except for the counts that are marked as shared: these change by atomic
 * additions of programs and of the director.
 */

/** Numbers are 16 bits. */
export const MAX_RECORDS = 65_536;

/**
 * A destination. The first 64 bytes are what packets of known connections read: they change with the configuration only.
 * The second 64 bytes are what schedulers read and new connections write.
 */
export const DESTINATION_BYTES = 128;
export const DESTINATION = {
  /** 16 bytes, packet order; IPv4 as ::ffff:a.b.c.d. Never changes while rows name the record. */
  address: 0,
  /** 2 bytes, packet order; 0: that of the virtual endpoint. */
  port: 16,
  /** Forwarding method of new connections, 2 bytes: the numbers of include/uapi/linux/ip_vs.h (Linux 6.1). */
  method: 18,
  /** Number of its service's record, 2 bytes. */
  service: 20,
  /** Number of the next hop's record of requests, 2 bytes; 0: not known, packets go up to the director. */
  nextHop: 22,
  /** 4 bytes, see DESTINATION_FLAGS. */
  flags: 24,
  /** Port of a GUE tunnel, 2 bytes, packet order. */
  tunnelPort: 28,
  /** Type and checksum of a tunnel, 2 bytes, see TUNNEL. */
  tunnel: 30,
  /*
   * What translation changes in checksums, 2 bytes each (RFC 1624: ~m + m', folded), where the virtual endpoint is one
   * address and port: header, transport, address alone, port alone; of requests, then of replies.
   */
  changes: 32,
  replyChanges: 40,
  /** Sum of the outer header's fixed words, 2 bytes, of a tunnel. */
  outerSum: 48,
  /** 2 bytes: first unused byte is 52. */
  reserved: 50,

  /** 4 bytes; 0: quiesced. */
  weight: 64,
  /** Number of connections at which it is overloaded, 4 bytes; 0: never. */
  upper: 68,
  /** Active connections, 4 bytes, shared. */
  active: 72,
  /** Inactive connections, 4 bytes, shared. */
  inactive: 76,
  /** Persistence templates, 4 bytes. */
  persistent: 80,
  /** 4 bytes, shared: 1 while it is over its upper threshold and not yet below the lower one. */
  overloaded: 84,
  /** Number of connections below which the overload ends, 4 bytes; 0: three quarters of the upper threshold. */
  lower: 88,
  /** The last weight above 0, 4 bytes: mh selects by it. */
  lastWeight: 92,
} as const;

export const DESTINATION_FLAGS = {
  /** It is configured. Without it, packets of its connections go up to the director. */
  AVAILABLE: 1,
  /** Another machine's connection named it; it is not configured here. */
  HIDDEN: 2,
} as const;

/** `tunnel`: the type in the lower byte, the checksum option above. */
export const TUNNEL = { ipip: 0, gue: 1, gre: 2, csum: 0x100, remcsum: 0x200 } as const;

/** A service. */
export const SERVICE_BYTES = 128;
export const SERVICE = {
  /** Number of the scheduler, 4 bytes, see SCHEDULER. */
  scheduler: 0,
  /** 4 bytes, see SERVICE_FLAGS. */
  flags: 4,
  /**
   * Where its destinations' numbers are in `lists`, newest first: first entry (4 bytes) and count (4), which change together
   * as one word of 64 bits.
   */
  list: 8,
  /** The same of the table of a hashing scheduler: 256 numbers (sh, dh) or 4,093 (mh). */
  table: 16,
  /**
   * Position of rr and wrr, one word of 64 bits that changes by compare-exchange: the level of wrr (4 bytes), and above it
   * the index in the list of the last selection (4, signed; -1: before the first). rr uses the latter alone.
   */
  level: 24,
  last: 28,
  /** Of wrr, 4 bytes each: greatest common divisor of the weights, and the first level of a round; 0: no weight. */
  step: 32,
  top: 36,
  /** Timeout of persistence templates, 4 bytes, ms; 0: none. */
  persistence: 40,
  /** Mask of client addresses of templates, 16 bytes, packet order. */
  mask: 48,
  /** Virtual address, 16 bytes, packet order; IPv4 as ::ffff:a.b.c.d. */
  address: 64,
  /** Virtual port, 2 bytes, packet order; 0: every port. */
  port: 80,
  /** IP protocol number, 1 byte; 0 of a firewall mark. */
  protocol: 82,
  /** 4 or 6, 1 byte. */
  family: 83,
  /** Firewall mark, 4 bytes; 0: none. */
  mark: 84,
  /**
   * Bytes of the longest IP packet that programs can forward to whichever destination is selected, 2 bytes; 0: none, new
   * connections go up to the director.
   */
  longest: 88,
  /** Number of its scheduler and of its persistence engine by name, 1 byte each, from 1 on; 0: none. */
  schedulerName: 92,
  engine: 93,
  /** Flags of the scheduler as in commands, 2 bytes. */
  schedulerFlags: 94,
  /** Rises with every service that is made, 4 bytes. */
  order: 96,
  /** 4 bytes: 1, its deny list has an entry. */
  lists: 100,
} as const;

/** Schedulers that programs may have. 0: the director selects. */
export const SCHEDULER = {
  director: 0,
  rr: 1,
  wrr: 2,
  lc: 3,
  wlc: 4,
  sed: 5,
  nq: 6,
  fo: 7,
  ovf: 8,
  sh: 9,
  dh: 10,
  mh: 11,
} as const;

export const SERVICE_FLAGS = {
  /** It is configured. */
  IN_USE: 1,
  /** sh and mh use another destination if the hashed one is unavailable. */
  FALLBACK: 2,
  /** sh and mh hash the client's port, too. */
  PORT: 4,
  /** Connections exist for one packet (UDP). */
  ONE_PACKET: 8,
  /** Clients have templates. */
  PERSISTENT: 16,
  /** Replies of all destinations bypass the director: programs need no next hop of the client. */
  BYPASSED: 32,
} as const;

/** Longest list that is written for programs; the director selects from longer ones. */
export const MAX_LISTED = 1024;
/** Bytes of an entry of `lists`: a destination's number. */
export const LIST_ENTRY_BYTES = 2;
/** Programs read lists by blocks of this many entries: those behind the last destination are 0. */
export const LIST_BLOCK = 16;
/** Entries of all lists and tables together, a power of two; the director selects for services without room. */
export const MAX_LIST_ENTRIES = 2 ** 22;

/** The next hop of packets: where and how they leave. */
export const NEXT_HOP_BYTES = 64;
export const NEXT_HOP = {
  /** Interface index, 4 bytes; 0: unusable, packets go up to the director. Written last, read first. */
  interface: 0,
  /** Bytes of the longest IP packet, 2 bytes. */
  mtu: 4,
  /** Tag control information as in a frame, 2 bytes; 0: no tag. */
  vlan: 6,
  /** Destination MAC address, 6 bytes, and two bytes of zeros: one word of 64 bits. */
  to: 8,
  /** Source MAC address, the same. */
  from: 16,
  /** Source address of a tunnel's outer header, 16 bytes, packet order. */
  source: 24,
  /** Generation of routes in which it was found, 4 bytes. */
  generation: 40,
} as const;

/** The settings: what programs read and the director alone writes. */
export const SETTINGS_BYTES = 4096;
export const SETTINGS = {
  /** LAYOUT_VERSION (4 bytes), and 8 characters of `layoutDigest`. */
  version: 0,
  digest: 4,
  /** Ticks of the clock in a second, 4 bytes. */
  ticksPerSecond: 12,
  /** The most rows in use, 4 bytes, and the number of homes, 4 bytes. */
  limit: 16,
  homes: 20,
  /** Rises whenever rules or settings change, 4 bytes. */
  generation: 24,
  /** Tick at which the director was last alive, 4 bytes, see `orphan`. */
  heartbeat: 28,
  /** 13 words of 4 bytes, see Homes. */
  secrets: 32,
  /** 4 bytes: 1, the deny list of all services has an entry. */
  lists: 84,
  /** New connections per processor and 64 ms while the table is filled beyond `valveFrom`, 4 bytes; 0: no limit. */
  valve: 96,
  /** Rows in use from which the valve works, and from which new connections take the place of embryonic ones, 4 bytes each. */
  valveFrom: 100,
  embryonicFrom: 104,
  /** One in this many scheduling attempts is dropped (drop_packet), 4 bytes; 0: none. */
  dropRate: 108,
  /** Offset of the table of transitions in use: `transitions` or `secureTransitions`, 4 bytes. */
  transitionsInUse: 112,
  /** Backup that must not forward (backup_only), 4 bytes: 1, everything goes up. */
  backup: 116,
  /** Why all new connections go up to the director, 4 bytes: bits of DEFERRED; 0: programs admit them. */
  deferred: 120,
  /** Timeouts in ticks: of the 16 states of TCP, and of UDP; 4 bytes each. */
  tcpTimeouts: 128,
  udpTimeout: 192,
  /** 4 bytes: 1 when the director has started; before, the memory is not complete. */
  complete: 196,
  /** The programs' clock: a tick is (jiffies + offset) >> shift; 4 bytes and 8 bytes. */
  clockShift: 200,
  /** Blocks of counters, and records of each, 4 bytes each. */
  processors: 204,
  clockOffset: 208,
  counted: 216,
  /** Random bits, 4 bytes, by which a record of the applied file is recognized. */
  identity: 220,
  /** The kernel's random id of this boot, 16 bytes. */
  bootId: 224,
  /** Ticks after `heartbeat` from which programs leave new connections to the host, 4 bytes; 0: never. */
  orphan: 240,
  /** Tick from which programs leave all packets to the host, 4 bytes; 0: none. The director moves it on while it is alive. */
  passFrom: 244,
  /** The same moment as `heartbeat`, 8 bytes: ms of CLOCK_MONOTONIC. */
  aliveAt: 248,
  /** Settings of net.ipv4.vs by name, 4 bytes each, in the order of DEFAULT_SETTINGS (model/settings.ts). */
  sysctls: 256,
  /**
   * States after a TCP segment: 16 words of 64 bits, a nibble for each state before. Word 4 * sender + event; senders are
   * client, server, client of a connection whose server was not seen; events RST, SYN, FIN, ACK. Words 12 to 14: no event.
   */
  transitions: 384,
  secureTransitions: 512,
  /** 4 bytes: 1 if rules give packets firewall marks that services have. */
  marked: 640,
  /**
   * Identification of the next outer IPv4 header that may be fragmented, 4 bytes of which 2 are used, shared: alone in its
   * cache line.
   */
  identification: 704,
  /** 8,192 bits: hashes of the addresses that replies come from, see `serverBit`. */
  servers: 1024,
} as const;

export const DEFERRED = {
  /** Some attempts are dropped (drop_packet). */
  DROP_RATE: 1,
  /** The director is a backup that must not forward. */
  BACKUP: 2,
  /** Packets are captured. */
  CAPTURE: 4,
  /** The map of deny and allow lists is incomplete. */
  LISTS: 8,
  /** A director without programs copies the table. */
  CARRIED: 16,
} as const;

/** What one processor counts for one destination: 64 bytes, written by that processor alone. */
export const COUNTERS_BYTES = 64;
export const COUNTERS = {
  /** 8 bytes each, in the order of model/counters.ts. */
  connections: 0,
  inPackets: 8,
  outPackets: 16,
  inOctets: 24,
  outOctets: 32,
  /** Of `connections`: those that took the place of an older connection with the same ends (conn_reuse_mode). */
  reused: 40,
  /** Connections whose time was up, and whose rows new ones took. Of record 0: first packets of denied clients. */
  expired: 48,
  /** Those of `connections` that are of a client's template. */
  templated: 56,
} as const;
/** What record 0, which is of no destination, has in place of `templated`: first packets that the valve dropped. */
export const SHED_COUNTER = COUNTERS.templated;

/** Records of destinations and of services with smaller numbers have meters that outlive the director. */
export const METERED = 8192;
/** Numbers of 8 bytes (floating point) of a meter: what was counted, and what was at the last reading and reset; averages. */
export const METER_NUMBERS = 20;
/** Where a director counts traffic: for the next one. Offsets of the meters of destinations, the first of which is the total's. */
export const METERS = {
  destinations: 0,
  services: METERED * METER_NUMBERS * 8,
  /** What `counters` of each destination were when the director added them to the meters: the fields of COUNTERS, 8 bytes each. */
  collected: 2 * METERED * METER_NUMBERS * 8,
} as const;
export const METERS_BYTES = METERS.collected + METERED * 64;
