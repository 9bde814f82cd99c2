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
  /** Client packets of a connection at which it is sent, modulo `sync_period` if that is not 0. */
  sync_threshold: 3,
  /** Second number of the kernel's sync_threshold; 0: a connection is sent once, at the threshold. */
  sync_period: 50,
  /** Seconds; 0: none. */
  sync_refresh_period: 0,
  sync_retries: 0,
  /** Messages that wait to be sent; the kernel's default depends on its memory. */
  sync_qlen_max: 32_768,
  /** Bytes of socket buffers; 0: that of the system. */
  sync_sock_size: 0,
  /** A power of two. */
  sync_ports: 1,
  sync_persist_mode: 0,
  sync_version: 1,
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
  'sync_retries',
];

/** Values of sync_ports (ip_vs_ctl.c, Linux 6.1): powers of two; from 64 on, 64 ports are used. */
export const SYNC_PORTS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128];
