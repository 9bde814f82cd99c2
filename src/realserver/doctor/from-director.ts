/** `lvs-realserver doctor --from-director`: examines the real servers from the director, with packets on the wire. */
import { isIPv6 } from 'node:net';
import { compileService } from '../../config/compile.ts';
import type { Document } from '../../config/document.ts';
import type { ForwardingMethodName } from '../../model/destination.ts';
import { LvsError } from '../../model/errors.ts';
import { type Machine, must } from '../machine.ts';
import { askOnSegment } from './director-client.ts';
import type { Finding } from './finding.ts';
import { guardFindings } from './guard-findings.ts';
import { routeTo } from './host-facts.ts';
import { bypassedFindings, outputFindings } from './packet-filter-findings.ts';
import { type PathAnswer, PathProbe } from './path-probe.ts';

/** Device of the route to the host's own addresses. */
const LOOPBACK = 'lo';

/** A real server as the director sees it. */
export interface Seen {
  readonly address: string;
  /** The loopback for this host itself, which cannot be probed on the wire. */
  readonly device?: string;
  /** Missing if the server is behind a router, does not answer, or is this host. */
  readonly mac?: string;
}

export interface Seeing {
  readonly servers: readonly Seen[];
  readonly findings: readonly Finding[];
}

/** Probes each real server by ARP, each segment for the VIPs, and each TCP destination with a connection. */
export async function seeServers(document: Document, machine: Machine): Promise<Seeing> {
  const inside = document.director.inside?.address;
  const ask = askOnSegment(machine);
  const findings: Finding[] = [];
  const servers: Seen[] = [];
  const addresses = new Set(
    document.services.flatMap(({ destinations }) =>
      destinations.map(({ destination }) => destination.address),
    ),
  );
  for (const address of addresses) {
    const way = await routeTo(address, machine);
    if (!way) {
      findings.push({
        name: 'server-unreachable',
        what: `no route to ${address}`,
        remedy: `ip route add ${address} ...`,
      });
      continue;
    }
    const near = way.gateway === undefined && way.device !== LOOPBACK && !isIPv6(address);
    const mac = near ? await ask(address, way.device) : undefined;
    servers.push({ address, device: way.device, ...(mac !== undefined && { mac }) });
    if (near && mac === undefined)
      findings.push({
        name: 'server-unreachable',
        what: `${address} does not answer ARP on ${way.device}`,
        remedy: 'check that the server is up, and connected to that segment',
      });
  }
  findings.push(...(await vipSpeakers(document, servers, ask)));
  findings.push(...(await silentPaths(document, servers, inside, machine)));
  findings.push(...(await outputFindings(machine)), ...(await bypassedFindings(document, machine)));
  findings.push(...(await guardFindings(machine)));
  return { servers, findings };
}

/** Finds hosts that answer ARP for a VIP. The director does not receive its own request. */
async function vipSpeakers(
  { vips, method }: Document,
  servers: readonly Seen[],
  ask: ReturnType<typeof askOnSegment>,
): Promise<Finding[]> {
  if (method === 'nat') return [];
  const findings: Finding[] = [];
  for (const vip of vips) {
    const mac = isIPv6(vip.address) ? undefined : await ask(vip.address, vip.device);
    if (mac === undefined) continue;
    const server = servers.find((each) => each.mac === mac);
    findings.push({
      name: 'vip-answered',
      what: `${server?.address ?? 'an unknown host'} (${mac}) answers ARP for ${vip.address} on ${vip.device}`,
      remedy: `on ${server?.address ?? 'that host'}: sysctl -w net.ipv4.conf.all.arp_ignore=1`,
    });
  }
  return findings;
}

async function silentPaths(
  document: Document,
  servers: readonly Seen[],
  inside: string | undefined,
  machine: Machine,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const probe = new PathProbe();
  for (const command of document.services.flatMap(compileService)) {
    if (command.op !== 'add-destination') continue;
    const { service, destination, options } = command;
    const device = servers.find(({ address }) => address === destination.address)?.device;
    if (!('address' in service) || service.protocol !== 'tcp' || service.port === 0) continue;
    if (device === undefined || device === LOOPBACK) continue;
    const from =
      inside !== undefined && isIPv6(inside) === isIPv6(service.address)
        ? inside
        : await ownAddress(device, service.address, machine);
    const answer = await probe.ask({ service, destination, options, from, device });
    const { method } = options;
    const finding = pathFinding(
      answer,
      { method, vip: service.address, port: service.port, inside },
      destination.address,
    );
    if (finding) findings.push(finding);
  }
  return findings;
}

/** Resolves with an address of the director on the device, of the service's family. */
async function ownAddress(device: string, like: string, machine: Machine): Promise<string> {
  const family = isIPv6(like) ? '-6' : '-4';
  const words = ['ip', family, '-o', 'address', 'show', 'dev', device, 'scope', 'global', 'permanent'];
  const address = /inet6? ([^/\s]+)/.exec(await must(machine, words))?.[1];
  if (address === undefined)
    throw new LvsError('CONFIG', `device ${device}: no address to probe ${like} from`);
  return address;
}

/** What was asked. */
interface AskedPath {
  readonly method: ForwardingMethodName;
  readonly vip: string;
  readonly port: number;
  readonly inside: string | undefined;
}

function pathFinding(answer: PathAnswer, path: AskedPath, server: string): Finding | undefined {
  const { method, vip, port, inside } = path;
  switch (answer) {
    case 'answered':
      return undefined;
    case 'refused':
      return {
        name: 'no-listener',
        what: `${server} refuses connections to port ${port} that the director forwards`,
        remedy: `on ${server}: start the server, bound to the VIP or to every address`,
      };
    case 'silent':
      return {
        name: 'path-silent',
        what: `${server} does not answer a connection to port ${port} that the director forwards`,
        remedy: `on ${server}: ${roleCommand(method, vip, inside)}; let its packet filter accept tcp port ${port}`,
      };
    default:
      return answer satisfies never;
  }
}

/** Returns the command that makes a host a real server of the method. */
const roleCommand = (method: ForwardingMethodName, vip: string, inside: string | undefined): string =>
  method === 'nat'
    ? `ip route replace default via ${inside ?? "the director's address"}`
    : `lvs-realserver run --method ${method} --vip ${vip}`;

/** Returns a line per server. */
export const formatServers = (servers: readonly Seen[]): string =>
  servers
    .map(({ address, device, mac }) =>
      device === LOOPBACK
        ? `${address}: this host`
        : `${address}: ${mac ?? 'behind a router'}${device ? ` on ${device}` : ''}`,
    )
    .join('\n');
