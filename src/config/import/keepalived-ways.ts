/** How keepalived reaches real servers: forwarding methods, tunnels and ports. */
import type { DestinationOptions, TunnelOptions } from '../../model/destination.ts';
import { isPort, wholeNumber } from './import-result.ts';
import type { Leave, ServedAddress } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';

export type Way = Pick<DestinationOptions, 'method' | 'tunnel'>;

const METHODS = { NAT: 'nat', DR: 'dr', TUN: 'tunnel' } as const;

/** Reads `NAT|DR` or `TUN ...`; undefined: the statement has no effect. A tunnel with invalid options is an IPIP tunnel. */
export function readWay(statement: Statement, leave: Leave): Way | undefined {
  const [, kind = '', ...rest] = statement.words;
  if (!Object.hasOwn(METHODS, kind)) {
    leave(statement, 'invalid method: expected NAT, DR or TUN');
    return undefined;
  }
  const method = METHODS[kind as keyof typeof METHODS];
  if (method !== 'tunnel' || rest.length === 0) return { method };
  const tunnel = tunnelOf(rest);
  if (typeof tunnel !== 'string') return { method, tunnel };
  leave(statement, `${tunnel}: ipip is used`);
  return { method };
}

/** Parses `[type ipip|gue|gre] [port N] [nocsum|csum|remcsum]`; returns why it is invalid. */
function tunnelOf(rest: readonly string[]): TunnelOptions | string {
  const tunnel: { -readonly [K in keyof TunnelOptions]: TunnelOptions[K] } = {
    type: 'ipip',
    port: 0,
    checksum: 'none',
  };
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i]!;
    const next = rest[i + 1] ?? '';
    if (word === 'type' && (next === 'ipip' || next === 'gue' || next === 'gre'))
      tunnel.type = rest[++i] as typeof next;
    else if (word === 'port' && isPort(wholeNumber(next) ?? -1)) tunnel.port = Number(rest[++i]);
    else if (word === 'csum' || word === 'remcsum') tunnel.checksum = word;
    else if (word !== 'nocsum') return `invalid tunnel option '${word}'`;
  }
  if ((tunnel.type === 'gue') !== tunnel.port > 0)
    return 'a gue tunnel requires a port, and no other tunnel has one';
  const hasChecksum = tunnel.type === 'gue' || (tunnel.type === 'gre' && tunnel.checksum === 'csum');
  if (tunnel.checksum !== 'none' && !hasChecksum)
    return `${tunnel.type} has no checksum option ${tunnel.checksum}`;
  return tunnel;
}

/**
 * Direct routing and tunnels do not change ports: keepalived gives such a real server the port of its service. So has a
 * real server without a port, but not that of a group.
 */
export function destinationPort(
  service: ServedAddress['service'],
  port: number,
  { method }: Pick<DestinationOptions, 'method'>,
  isGrouped: boolean,
): number {
  if ('mark' in service) return method === 'nat' ? port : 0;
  if (method !== 'nat') return service.port;
  return port === 0 && !isGrouped ? service.port : port;
}
