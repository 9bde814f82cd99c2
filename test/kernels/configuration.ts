/** The configuration files of the checks: one service, one real server. */
import type { Method } from '../support/cluster.ts';

export interface ServiceAt {
  readonly method: Method;
  readonly vip: string;
  readonly server: string;
  /** The interface that gets the VIP. */
  readonly interface?: string;
  /** The device that carries the VIP on the real server. */
  readonly vipDevice?: string;
}

/** An address of either family as it stands before a port. */
export const host = (address: string): string => (address.includes(':') ? `[${address}]` : address);

/** Returns an lvs.yaml; `server` and the rest are those of the laboratory's shape for the method. */
export function configuration({ method, vip, server, ...at }: ServiceAt): string {
  const { interface: name = 'eth0', vipDevice = 'lo' } = at;
  const prefix = vip.includes(':') ? 64 : 24;
  const inside = method === 'nat' ? 'eth1, address: 192.168.1.1' : 'eth0, address: 192.168.0.1';
  const realServers =
    method === 'nat' ? 'gateway: 192.168.1.1' : `vip-device: ${vipDevice}, net-device: eth0`;
  return `
method: ${method}
vips:
  - { interface: ${name}, address: '${vip}', prefix: ${prefix} }
director:
  inside: { interface: ${inside}, prefix: 24 }
real-servers: { ${realServers} }
services:
  - { tcp: '${host(vip)}:80', destinations: ['${host(server)}'] }
`;
}
