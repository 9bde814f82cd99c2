/** Names that the configurations of the User-Mode Linux guest use. */

/** Lines of its /etc/hosts. */
export const HOSTS: readonly (readonly [address: string, name: string])[] = [
  ['127.0.0.1', 'localhost'],
  ['10.9.0.1', 'vip1.example'],
  ['10.1.0.11', 'rs1.example'],
  ['10.1.0.13', 'rs3.example'],
  ['fd09::1', 'vip6.example'],
  ['fd01::11', 'rs6.example'],
];

/** Ports of Debian's /etc/services. */
export const SERVICES: Readonly<Record<string, number>> = { domain: 53, http: 80, 'http-alt': 8080 };
