/** A snapshot as /proc/net/ip_vs, ip_vs_conn and ip_vs_stats show a kernel's (as recorded from Linux 6.1). */
import type { ServiceAddress, ServiceOptions } from '../model/service.ts';
import type {
  ConnectionSnapshot,
  DestinationSnapshot,
  ServiceSnapshot,
  Snapshot,
  Traffic,
} from '../model/snapshot.ts';
import { type Address, isV4, parseAddress } from '../wire/address.ts';

/** Ticks of the kernel's clock in a second: what programs that read these files expect (CONFIG_HZ of the recording). */
const HZ = 100;
/** The words of ip_vs for forwarding methods. */
const METHODS = { masq: 'Masq', gatewaying: 'Route', ipip: 'Tunnel', local: 'Local' } as const;

export const procServices = ({ services }: Pick<Snapshot, 'services'>): string =>
  [
    'IP Virtual Server version 1.2.1 (size=4096)',
    'Prot LocalAddress:Port Scheduler Flags',
    '  -> RemoteAddress:Port Forward Weight ActiveConn InActConn',
    ...services.flatMap((each) => [serviceLine(each), ...each.destinations.map(destinationLine)]),
    '',
  ].join('\n');

export const CONNECTIONS_HEAD =
  'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n';

export function procConnection(connection: ConnectionSnapshot): string {
  const { protocol, clientAddress, clientPort, virtualAddress, virtualPort } = connection;
  const { destinationAddress, destinationPort, state, expires, engine, engineData } = connection;
  const ends = [
    [clientAddress, clientPort],
    [virtualAddress, virtualPort],
    [destinationAddress, destinationPort],
  ] as const;
  const words = ends.map(([address, port]) => `${hexAddress(address)} ${hex(port, 4)}`).join(' ');
  const extra = engine === undefined ? '' : ` ${engine} ${engineData ?? ''}`;
  return `${protocol.padEnd(3)} ${words} ${state.padEnd(11)} ${String(expires).padStart(7)}${extra}\n`;
}

export function procStats({ stats, rates }: Pick<Snapshot, 'stats' | 'rates'>): string {
  return [
    '   Total Incoming Outgoing         Incoming         Outgoing',
    '   Conns  Packets  Packets            Bytes            Bytes',
    trafficLine(stats),
    '',
    ' Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s',
    trafficLine(rates),
    '',
  ].join('\n');
}

const trafficLine = ({ connections, inPackets, outPackets, inOctets, outOctets }: Traffic): string =>
  [connections, inPackets, outPackets]
    .map((each) => wide(each, 8))
    .concat([inOctets, outOctets].map((each) => wide(each, 16)))
    .join(' ');

function serviceLine({ service, options }: ServiceSnapshot): string {
  const ops = options.ops ? 'ops ' : '';
  // A line of an IPv4 service has one blank more.
  const blank = 'address' in service && !service.address.includes(':') ? ' ' : '';
  return `${serviceName(service)} ${options.scheduler} ${ops}${blank}${persistence(service, options)}`;
}

function serviceName(service: ServiceAddress): string {
  if ('mark' in service) return `FWM  ${hex(service.mark, 8)}`;
  return `${service.protocol.toUpperCase()}  ${endpoint(service.address, service.port)}`;
}

function persistence(service: ServiceAddress, options: ServiceOptions): string {
  if (!options.persistent) return '';
  return `persistent ${options.persistent * HZ} ${hex(netmask(service, options), 8)}`;
}

/** IPv4: the mask. IPv6: the length of the prefix, its octets in the order that a little-endian kernel shows. */
function netmask(service: ServiceAddress, { persistencePrefix, persistenceMask }: ServiceOptions): number {
  const family = 'mark' in service ? service.family : service.address.includes(':') ? 6 : 4;
  if (family === 6) return ((persistencePrefix ?? 128) << 24) >>> 0;
  if (persistenceMask !== undefined) return parseAddress(persistenceMask)?.[3] ?? 0;
  const bits = persistencePrefix ?? 32;
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

function destinationLine({
  address,
  port,
  method,
  weight,
  activeConnections,
  inactiveConnections,
}: DestinationSnapshot) {
  const numbers = [
    String(weight).padEnd(6),
    String(activeConnections).padEnd(10),
    String(inactiveConnections).padEnd(10),
  ];
  return `  -> ${endpoint(address, port)}      ${METHODS[method].padEnd(7)} ${numbers.join(' ')}`;
}

function endpoint(text: string, port: number): string {
  const address = hexAddress(text);
  return `${text.includes(':') ? `[${address}]` : address}:${hex(port, 4)}`;
}

/** 0A000001, or all eight groups of an IPv6 address. */
function hexAddress(text: string): string {
  const address: Address | undefined = parseAddress(text);
  if (!address) return text;
  if (isV4(address)) return hex(address[3]!, 8);
  return [...address].flatMap((word) => [group(word >>> 16), group(word & 0xffff)]).join(':');
}

const group = (value: number): string => value.toString(16).padStart(4, '0');
const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
const wide = (value: number, width: number): string =>
  Math.floor(value).toString(16).toUpperCase().padStart(width);
