/** The MAC address and the multicast groups of a cluster. */
import type { NlbCluster } from '../model/nlb.ts';
import { isV4, parseAddress } from '../wire/address.ts';
import type { MacAddress } from '../wire/ethernet.ts';

/** First bytes of the MAC address: locally administered, unicast or multicast; then the address's four bytes. */
const UNICAST = [0x02, 0xbf];
const MULTICAST = [0x03, 0xbf];
/** The MAC addresses of 239.255.0.0/16 and others (RFC 1112, 6.4); then the last two bytes of the group. */
const IGMP = [0x01, 0x00, 0x5e, 0x7f];
/** UDP port of heartbeats, which IANA assigned to WLBS. */
export const HEARTBEAT_PORT = 2504;

/** Returns the last four bytes of the first IPv4 address, or of the first address. */
function bytesOf({ addresses }: Pick<NlbCluster, 'addresses'>): readonly [number, number, number, number] {
  const parsed = addresses.flatMap((text) => parseAddress(text) ?? []);
  const word = (parsed.find(isV4) ?? parsed[0]!)[3]!;
  return [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff];
}

export function clusterMac(cluster: Pick<NlbCluster, 'addresses' | 'mac'>): MacAddress {
  const bytes = bytesOf(cluster);
  if (cluster.mac === 'igmp') return Uint8Array.of(...IGMP, ...bytes.slice(2));
  return Uint8Array.of(...(cluster.mac === 'unicast' ? UNICAST : MULTICAST), ...bytes);
}

/** Returns the group that heartbeats are sent to; with igmp, its MAC address is that of the cluster. */
export function heartbeatGroup(cluster: Pick<NlbCluster, 'addresses'>, family: 4 | 6): string {
  const [, , third, fourth] = bytesOf(cluster);
  return family === 4 ? `239.255.${third}.${fourth}` : `ff02::bf:${((third << 8) | fourth).toString(16)}`;
}
