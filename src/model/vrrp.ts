/** Reports of keepalived about its VRRP instances and sync groups. */

/** States that keepalived reports; DELETED: a reload of keepalived removed it. */
export const VRRP_STATES = ['MASTER', 'BACKUP', 'FAULT', 'STOP', 'DELETED'] as const;
export const VRRP_TYPES = ['INSTANCE', 'GROUP'] as const;

/** A VRRP instance, or a group of them, and its state. */
export interface VrrpInstance {
  readonly type: (typeof VRRP_TYPES)[number];
  readonly name: string;
  readonly state: (typeof VRRP_STATES)[number];
  /** 1 to 255; missing or 0: not reported. */
  readonly priority?: number;
}
