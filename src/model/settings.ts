/** Settings of a running director: those of /proc/sys/net/ipv4/vs, and the timeouts. */

/** Every setting with its default (Linux 6.1, Documentation/networking/ipvs-sysctl.rst), all integers. */
export const DEFAULT_SETTINGS = {
  am_droprate: 10,
  amemthresh: 1024,
  backup_only: 0,
  cache_bypass: 0,
  conn_reuse_mode: 1,
  conntrack: 0,
  drop_entry: 0,
  drop_packet: 0,
  secure_tcp: 0,
  run_estimation: 1,
  expire_nodest_conn: 0,
  expire_quiescent_template: 0,
  ignore_tunneled: 0,
  nat_icmp_send: 0,
  pmtu_disc: 1,
  snat_reroute: 1,
  sloppy_tcp: 0,
  sloppy_sctp: 0,
  schedule_icmp: 0,
  /** Seconds. */
  lblc_expiration: 86_400,
  /** Seconds. */
  lblcr_expiration: 86_400,
} as const;

export type SettingName = keyof typeof DEFAULT_SETTINGS;
export type Settings = Record<SettingName, number>;

/** Timeouts that `ipvsadm --set` changes, in seconds; 0 keeps the current value. */
export interface Timeouts {
  readonly tcp: number;
  readonly tcpFin: number;
  readonly udp: number;
}

/**
 * Settings with values 0 to 3; others have no maximum (Documentation/networking/ipvs-sysctl.rst, Linux 6.1).
 */
export const FOUR_VALUED: readonly SettingName[] = [
  'drop_entry',
  'drop_packet',
  'secure_tcp',
  'conn_reuse_mode',
];
