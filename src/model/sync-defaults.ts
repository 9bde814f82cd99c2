/** Defaults of a sync daemon (ip_vs_sync.c, Linux 6.1). */
export const SYNC_DEFAULTS = { group: '224.0.0.81', port: 8848, ttl: 1 } as const;
