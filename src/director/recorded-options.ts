/** How a destination's record states its forwarding method and its tunnel. */
import type { ForwardingMethodName, TunnelOptions } from '../model/destination.ts';
import type { DestinationRecords } from '../table/destination-records.ts';
import { portInPacketOrder } from '../table/packet-order.ts';
import { DESTINATION, TUNNEL } from '../table/record-layout.ts';

/** Methods of new connections; the numbers of include/uapi/linux/ip_vs.h, Linux 6.1. */
export const METHOD_NUMBERS: Readonly<Record<ForwardingMethodName, number>> = { nat: 0, tunnel: 2, dr: 3 };

const METHODS = ['nat', 'tunnel', 'dr'] as const;
const TUNNEL_TYPES = ['ipip', 'gue', 'gre'] as const;

/** Returns the method of a valid record. */
export function recordedMethod(records: DestinationRecords, index: number): ForwardingMethodName {
  const number = records.half(index, DESTINATION.method);
  return METHODS.find((method) => METHOD_NUMBERS[method] === number) ?? 'dr';
}

/** Returns the tunnel of a valid record. */
export function recordedTunnel(records: DestinationRecords, index: number): TunnelOptions {
  const tunnel = records.half(index, DESTINATION.tunnel);
  const type = TUNNEL_TYPES.find((each) => TUNNEL[each] === (tunnel & (TUNNEL.csum - 1))) ?? 'ipip';
  const port = portInPacketOrder(records.half(index, DESTINATION.tunnelPort));
  if ((tunnel & TUNNEL.remcsum) !== 0) return { type, port, checksum: 'remcsum' };
  return { type, port, checksum: (tunnel & TUNNEL.csum) !== 0 ? 'csum' : 'none' };
}
