/** Formats the files of IPVS in /proc/net: ip_vs, ip_vs_conn, ip_vs_stats and others (Linux 6.1). */
import { familyOfService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import {
  type ConnectionSnapshot,
  type DestinationSnapshot,
  inRules,
  type ServiceSnapshot,
  type Snapshot,
  type Traffic,
} from '../model/snapshot.ts';

/** Ticks per second (CONFIG_HZ): the kernel prints persistence timeouts in ticks. */
const HZ = 100;

const FORWARD = { nat: 'Masq', tunnel: 'Tunnel', dr: 'Route' } as const;

/** Yields the parts of /proc/net/ip_vs: services by address, then by mark. */
export function* procServices(snapshot: Pick<Snapshot, 'services'>): Generator<string> {
  const services = inRules(snapshot.services);
  const isMark = ({ service }: ServiceSnapshot) => 'mark' in service;
  const ordered = [...services.filter((each) => !isMark(each)), ...services.filter(isMark)];
  yield `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
`;
  for (const each of ordered) yield serviceText(each);
}

function serviceText({ service, options, destinations }: ServiceSnapshot): string {
  const { scheduler, persistent = 0, ops = false } = options;
  const family = familyOfService(service);
  const mask = maskWord(options.persistenceMask, options.persistencePrefix, family);
  const head = `${nameText(service)} ${scheduler} ${opsText(service, ops)}`;
  const tail = persistent > 0 ? `persistent ${persistent * HZ} ${hex(mask, 8)}` : '';
  return `${head}${tail}\n${destinations.map(destinationText).join('')}`;
}

const nameText = (service: ServiceAddress): string =>
  'mark' in service
    ? `FWM  ${hex(service.mark, 8)}`
    : `${service.protocol.toUpperCase()}  ${endpoint(service.address, service.port)}`;

/** Returns the flag with the padding of the kernel, which differs for marks, IPv4 and IPv6. */
function opsText(service: ServiceAddress, ops: boolean): string {
  const text = ops ? 'ops ' : '';
  if ('mark' in service) return text;
  return service.address.includes(':') ? '' : `${text} `;
}

const destinationText = (d: DestinationSnapshot): string =>
  `  -> ${endpoint(d.address, d.port)}      ${FORWARD[d.method].padEnd(7)} ${pad(d.weight, 6)} ${pad(d.activeConnections, 10)} ${pad(d.inactiveConnections, 10)}\n`;

const pad = (number: number, width: number): string => number.toString().padEnd(width);

/** Returns an IPv4 mask, or an IPv6 prefix length with the bytes swapped as in the kernel. */
function maskWord(mask: string | undefined, prefix: number | undefined, family: 4 | 6): number {
  if (family === 6) return (prefix ?? 128) * 2 ** 24;
  if (mask !== undefined) return ipv4Word(mask);
  const bits = prefix ?? 32;
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

/** The first line of /proc/net/ip_vs_conn. */
export const PROC_CONNECTIONS_HEAD =
  'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n';

/** Returns a line of /proc/net/ip_vs_conn. */
export function procConnection(c: ConnectionSnapshot): string {
  const engine = c.engine === undefined ? '' : ` ${c.engine} ${c.engineData ?? ''}`;
  const expires = c.expires.toString().padStart(7);
  return `${c.protocol.padEnd(3)} ${endsText(c)} ${c.state.padEnd(11)} ${expires}${engine}\n`;
}

const endsText = (c: ConnectionSnapshot): string =>
  [
    end(c.clientAddress, c.clientPort),
    end(c.virtualAddress, c.virtualPort),
    end(c.destinationAddress, c.destinationPort),
  ].join(' ');

/** The first line of /proc/net/ip_vs_conn_sync. */
export const PROC_ORIGINS_HEAD = 'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n';

/** Returns a line of /proc/net/ip_vs_conn_sync. */
export function procOrigin(c: ConnectionSnapshot): string {
  const expires = c.expires.toString().padStart(7);
  return `${c.protocol.padEnd(3)} ${endsText(c)} ${c.state.padEnd(11)} ${c.synced ? 'SYNC ' : 'LOCAL'}  ${expires}\n`;
}

/** Returns /proc/net/ip_vs_stats: totals of all services. */
export const procStats = ({ stats, rates }: Pick<Snapshot, 'stats' | 'rates'>): string =>
  `   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
${trafficText(stats)}

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
${trafficText(rates)}
`;

/** Returns /proc/net/ip_vs_stats_percpu. The director counts everything on one processor. */
export const procStatsPerCpu = ({ stats, rates }: Pick<Snapshot, 'stats' | 'rates'>): string =>
  `       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0 ${trafficText(stats)}
  ~ ${trafficText(stats)}

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
    ${trafficText(rates)}
`;

/** The text of /proc/net/ip_vs_app: the director has no application helpers. */
export const PROC_APPLICATIONS = 'prot port    usecnt name\n';

const trafficText = (t: Traffic): string =>
  [
    ...[t.connections, t.inPackets, t.outPackets].map((number) => hex(number).padStart(8)),
    ...[t.inOctets, t.outOctets].map((number) => hex(number).padStart(16)),
  ].join(' ');

const hex = (number: number, width = 1): string =>
  Math.trunc(number).toString(16).toUpperCase().padStart(width, '0');

function endpoint(address: string, port: number): string {
  return address.includes(':')
    ? `[${ipv6Text(address)}]:${hex(port, 4)}`
    : `${end4(address)}:${hex(port, 4)}`;
}

const end = (address: string, port: number): string =>
  `${address.includes(':') ? ipv6Text(address) : end4(address)} ${hex(port, 4)}`;

const end4 = (address: string): string => hex(ipv4Word(address), 8);

const ipv4Word = (address: string): number =>
  address.split('.').reduce((word, octet) => word * 256 + Number(octet), 0);

/** Returns an IPv6 address as eight groups of four digits. */
function ipv6Text(address: string): string {
  const [left = '', right] = address.replace(/\d+(\.\d+){3}$/, groupsOf).split('::');
  const before = left === '' ? [] : left.split(':');
  const after = right ? right.split(':') : [];
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return groups.map((group) => group.padStart(4, '0')).join(':');
}

/** Returns the last two groups, which inet_ntop writes as an IPv4 address if all groups before them are 0. */
function groupsOf(dotted: string): string {
  const word = ipv4Word(dotted);
  return `${hex(Math.floor(word / 0x1_0000))}:${hex(word % 0x1_0000)}`;
}
