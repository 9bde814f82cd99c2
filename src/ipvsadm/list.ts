/** Formats services and destinations as the table of `ipvsadm -L`. */

import { familyOfService } from '../model/naming.ts';
import {
  type DestinationSnapshot,
  inRules,
  type ServiceSnapshot,
  type Snapshot,
  type Traffic,
} from '../model/snapshot.ts';
import type { OptionName } from './options.ts';
import { sortDestinations, sortServices } from './order.ts';
import { formatSchedulerFlags } from './scheduler-flags.ts';
import { amountText, type EndpointText, markText, maskText, protocolOf } from './text.ts';

const TITLE = 'IP Virtual Server version 1.2.1 (size=4096)\n';
/** Names of IPv4 endpoints are cut at this width; longer IPv6 ones shift the columns to the right. */
const NAME = 28;

/** The header lines, and the text after the name in lines of services and destinations. */
interface Layout {
  readonly head: string;
  service(snapshot: ServiceSnapshot): string;
  destination(snapshot: DestinationSnapshot): string;
}

const FORWARD = { nat: 'Masq', tunnel: 'Tunnel', dr: 'Route' } as const;

const plain: Layout = {
  head: `Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
`,
  service: schedulingText,
  destination: (d) => ` ${FORWARD[d.method].padEnd(7)} ${d.weight.toString().padEnd(6)} ${counts(d)}`,
};

const tunnels: Layout = {
  head: `Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn
`,
  service: schedulingText,
  destination: (d) =>
    ` ${FORWARD[d.method].padEnd(7)} ${tunnelText(d).padEnd(13)} ${d.weight.toString().padEnd(6)} ${counts(d)}`,
};

const thresholds: Layout = {
  head: `Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn 
  -> RemoteAddress:Port
`,
  service: schedulingText,
  destination: (d) => ` ${columns(10, d.upperThreshold, d.lowerThreshold)} ${counts(d)}`,
};

const persistence: Layout = {
  head: `Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn 
  -> RemoteAddress:Port
`,
  service: schedulingText,
  destination: (d) =>
    ` ${d.weight.toString().padEnd(9)} ${d.persistentConnections.toString().padEnd(11)} ${counts(d)}`,
};

const traffic = (title: string, pick: 'stats' | 'rates', exact: boolean): Layout => ({
  head: `Prot LocalAddress:Port           ${title}\n  -> RemoteAddress:Port\n`,
  service: (s) => trafficText(s[pick], exact),
  destination: (d) => trafficText(d[pick], exact),
});

function layoutOf(given: ReadonlySet<OptionName>): Layout {
  const exact = given.has('exact');
  if (given.has('stats')) return traffic('    Conns   InPkts  OutPkts  InBytes OutBytes', 'stats', exact);
  if (given.has('rate')) return traffic('      CPS    InPPS   OutPPS    InBPS   OutBPS', 'rates', exact);
  if (given.has('thresholds')) return thresholds;
  if (given.has('persistent-conn')) return persistence;
  return given.has('tun-info') ? tunnels : plain;
}

/** Yields the table's text, one service at a time. A listing of one service has no title. */
export async function* listServices(
  snapshot: Pick<Snapshot, 'services'>,
  given: ReadonlySet<OptionName>,
  text: EndpointText,
): AsyncGenerator<string> {
  const layout = layoutOf(given);
  const isOne = given.has('service-address');
  yield isOne ? layout.head : TITLE + layout.head;
  const isSorted = !given.has('nosort');
  const services = inRules(snapshot.services);
  for (const service of isSorted ? sortServices(services) : services) {
    let lines = `${await serviceName(service, layout, text)}${layout.service(service)}\n`;
    const destinations = isSorted ? sortDestinations(service.destinations) : service.destinations;
    for (const destination of destinations) {
      const name = await text(destination.address, destination.port, protocolOf(service.service));
      lines += `  -> ${cut(name).padEnd(NAME)}${layout.destination(destination)}\n`;
    }
    yield lines;
  }
}

async function serviceName(
  { service }: ServiceSnapshot,
  layout: Layout,
  text: EndpointText,
): Promise<string> {
  const isAligned = layout.service !== schedulingText;
  if ('mark' in service) {
    const name = `FWM  ${markText(service.mark)}${service.family === 6 ? ' IPv6' : ''}`;
    return isAligned ? name.padEnd(NAME + 5) : name;
  }
  const name = cut(await text(service.address, service.port, service.protocol));
  return `${service.protocol.toUpperCase().padEnd(4)} ${isAligned ? name.padEnd(NAME) : name}`;
}

const cut = (name: string): string => (name.startsWith('[') ? name : name.slice(0, NAME));

function schedulingText({ service, options }: ServiceSnapshot): string {
  const { scheduler, schedulerFlags = 0, persistent = 0, engine, ops } = options;
  const mask = maskText(options, familyOfService(service));
  return [
    ` ${scheduler}`,
    schedulerFlags !== 0 && ` (${formatSchedulerFlags(schedulerFlags, scheduler)})`,
    persistent !== 0 && ` persistent ${persistent}`,
    mask !== undefined && ` mask ${mask}`,
    persistent !== 0 && engine !== undefined && ` pe ${engine}`,
    ops && ' ops',
  ]
    .filter((part) => typeof part === 'string')
    .join('');
}

const columns = (width: number, ...numbers: number[]): string =>
  numbers.map((number) => number.toString().padEnd(width)).join(' ');

const counts = (d: DestinationSnapshot): string => columns(10, d.activeConnections, d.inactiveConnections);

const trafficText = (t: Traffic, exact: boolean): string =>
  [t.connections, t.inPackets, t.outPackets, t.inOctets, t.outOctets]
    .map((amount) => amountText(amount, exact))
    .join('');

const CHECKSUM = { none: '-c', csum: '+c', remcsum: 'r+c' } as const;

function tunnelText({ method, tunnel }: DestinationSnapshot): string {
  if (method !== 'tunnel') return 'n/a';
  if (tunnel.type === 'ipip') return 'ipip';
  const port = tunnel.type === 'gue' ? `:${tunnel.port}` : '';
  return `${tunnel.type}${port}:${CHECKSUM[tunnel.checksum]}`;
}
