/** Which new connections programs of the kernel admit, and why the director admits the others. The keys are part of the interface. */

export const UPCALL_REASONS = {
  'no-destination': 'no destination has a weight above 0',
  persistence: 'the first connection of a client of a persistent service, which makes its template',
  engine: 'the service has a persistence engine',
  protocol: 'the service is of another protocol than TCP and UDP',
  'every-port': 'the service is for every port of an address that has an FTP service, too',
  helper:
    'packets of FTP control connections are for the process, which translates addresses in them (helper)',
  mark: 'the service is for a firewall mark, and its rules have no program: more than 512, or refused by the kernel',
  scheduler: 'the scheduler has no program, or the kernel refused it',
  'long-list': 'the service has more destinations than programs read',
  fragments: 'packets in tunnels may have to be fragmented (pmtu_disc is 0)',
  'next-hop': 'the next hop of a destination is not known, or its path MTU is too small for a tunnel',
  backup: 'a backup that must not forward (backup_only)',
  'drop-rate': 'drop_packet drops a share of new connections',
  capture: 'packets are captured',
  lists: 'the kernel has no memory for the deny and allow lists',
  'nearly-full': 'the connection table is nearly full',
  packet:
    'the packet or its client is not for programs: options, a fragment, FTP data, or a client whose next hop is unknown',
} as const;

export type UpcallReason = keyof typeof UPCALL_REASONS;

/** What admits new connections of a service: programs, or the director for this reason. */
export type Admission = 'kernel' | UpcallReason;

/** Connections that the director admitted, by reason. */
export type UpcallCounts = Readonly<Partial<Record<UpcallReason, number>>>;
