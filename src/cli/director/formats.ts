/** Names the formats that configuration files are printed in, and those that they are converted from. */

export const FORMATS = ['ipvsadm', 'json', 'yaml', 'script'] as const;
export type Format = (typeof FORMATS)[number];

/** Programs whose files `lvs-director import` reads. */
export const SOURCES = ['ipvsadm', 'ldirectord', 'keepalived'] as const;
export type Source = (typeof SOURCES)[number];
