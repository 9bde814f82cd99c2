/** `lvs-realserver doctor`: checks whether this host fits its role. Exit status 0: yes; 1: problems found. */

import { InvalidArgumentError } from 'commander';
import type { Document } from '../../config/document.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import { PINS_FOLDERS } from '../../host/pins-folders.ts';
import { LvsError } from '../../model/errors.ts';
import type { Say } from '../../model/level.ts';
import { clusterStatus } from '../../realserver/cluster/control.ts';
import { clusterFindings, clusterServed, networkNotes } from '../../realserver/doctor/cluster-findings.ts';
import { askByVeth } from '../../realserver/doctor/director-client.ts';
import { examine, formatFindings } from '../../realserver/doctor/doctor.ts';
import type { Finding, Served } from '../../realserver/doctor/finding.ts';
import { formatServers, seeServers } from '../../realserver/doctor/from-director.ts';
import { thisMachine } from '../../realserver/machine.ts';
import type { Role } from '../../realserver/plan.ts';
import { documentOf, type RoleOptions, rolesOf } from '../../realserver/role.ts';
import { directorStatus, sentenceOf, tableSentence } from '../../runtime/director-status.ts';
import { announceFindings } from './announce-findings.ts';
import { copiedConfiguration, etcdFindings } from './etcd-findings.ts';
import { joinFindings } from './join-findings.ts';
import { syncFindings } from './sync-findings.ts';

export interface DoctorOptions extends RoleOptions {
  readonly json: boolean;
  /** The agent's journal, beside which its control socket is. */
  readonly state: string;
  /** This is the director's host, which checks the real servers. */
  readonly fromDirector: boolean;
  /** Ports of the VIPs on which servers listen, without a configuration. */
  readonly port?: readonly ServedPort[];
  /** Folder in which directors keep their kernel paths. */
  readonly pins?: string;
  /** Settings of the director's cluster, and of the etcd in which this server registers. */
  readonly cluster?: string;
  readonly joinCluster?: string;
}

export async function doctor(
  options: DoctorOptions,
  print: (line: string) => void,
  say: Say,
): Promise<0 | 1> {
  const copied = options.cluster === undefined ? undefined : await copiedConfiguration(options.cluster);
  const config = options.config ?? copied;
  const document = await documentOf({ ...options, ...(config !== undefined && { config }) }, say);
  if (options.fromDirector) {
    if (!document && options.cluster === undefined)
      throw new LvsError('CONFIG', 'doctor: missing real servers: expected a configuration (--config)');
    const { servers, findings: seen } = document
      ? await seeServers(document, thisMachine)
      : { servers: [], findings: [] };
    const findings = [
      ...seen,
      ...(await pathFindings(options.pins)),
      ...(document?.announce ? await announceFindings(document.announce, document.services) : []),
      ...(document?.sync ? await syncFindings(document.sync, say) : []),
      ...(document?.join ? await joinFindings(document.join) : []),
      ...(options.cluster === undefined ? [] : await etcdFindings(options.cluster, 'director')),
    ];
    if (options.json) print(JSON.stringify({ servers, findings }, null, 2));
    else print(`${formatServers(servers)}\n${formatFindings(findings)}`);
    return findings.length === 0 ? 0 : 1;
  }
  const addresses = ownAddresses();
  const roles = rolesOf(options, document, addresses);
  if (document?.cluster) {
    const { cluster } = document;
    const ask = askByVeth(thisMachine);
    const status = await clusterStatus(options.state);
    const findings = [
      ...(await examine({ roles, served: clusterServed(cluster), machine: thisMachine, ask })),
      ...(await clusterFindings({ cluster, own: addresses, status, machine: thisMachine })),
    ];
    for (const note of networkNotes(cluster)) say(note);
    print(options.json ? JSON.stringify(findings, null, 2) : formatFindings(findings));
    return findings.length === 0 ? 0 : 1;
  }
  const own = document ? servedOf(document, addresses) : [];
  if (document && own.length === 0) say('no service of the configuration has this host as a destination');
  const served = [...own, ...roles.flatMap((role) => portsOf(role, options.port ?? []))];
  const findings = [
    ...(await examine({ roles, served, machine: thisMachine, ask: askByVeth(thisMachine) })),
    ...(options.joinCluster === undefined ? [] : await etcdFindings(options.joinCluster, 'server')),
  ];
  print(options.json ? JSON.stringify(findings, null, 2) : formatFindings(findings));
  return findings.length === 0 ? 0 : 1;
}

/** Finds kernel paths and connection tables whose directors do not run. */
async function pathFindings(pins: string | undefined): Promise<Finding[]> {
  const { paths, table } = await directorStatus(pins === undefined ? PINS_FOLDERS : [pins]);
  const remedy = 'lvs-director stop --release, unless the director is about to start again';
  const now = Date.now();
  return [
    ...paths.map((path): Finding => ({ name: 'orphaned-path', what: sentenceOf(path, now), remedy })),
    ...(table ? [{ name: 'orphaned-table', what: tableSentence(table, now), remedy } as const] : []),
  ];
}

/**
 * Returns the endpoints on which a host with these addresses must listen: on the VIP, or with nat on its
 * address.
 */
export function servedOf({ services }: Document, own: ReadonlySet<string>): Served[] {
  const served = new Map<string, Served>();
  for (const { service, destinations } of services) {
    if ('mark' in service || service.protocol === 'sctp' || service.port === 0) continue;
    const { protocol } = service;
    for (const { destination, options } of destinations) {
      if (!own.has(destination.address)) continue;
      const nat = options.method === 'nat';
      const address = nat ? destination.address : service.address;
      const port = nat ? destination.port : service.port;
      served.set(`${protocol} ${address} ${port}`, { protocol, address, port, isDirect: !nat });
    }
  }
  return [...served.values()];
}

/** With nat a server may listen on any of its addresses, according to the configuration. */
const portsOf = ({ method, vips }: Role, ports: readonly ServedPort[]): Served[] =>
  method === 'nat'
    ? []
    : vips.flatMap((address) => ports.map((port) => ({ ...port, address, isDirect: true })));

/** Returns the addresses of this host. */
export const ownAddresses = (): ReadonlySet<string> =>
  new Set(interfaceAddresses().map(({ address }) => address));

type ServedPort = Omit<Served, 'address' | 'isDirect'>;

/** Parses 80,53/udp. */
export function portList(text: string): ServedPort[] {
  return text.split(',').map((word) => {
    const [number, protocol = 'tcp'] = word.split('/');
    const port = Number(number);
    if ((protocol === 'tcp' || protocol === 'udp') && Number.isInteger(port) && port > 0 && port < 65_536)
      return { protocol, port };
    throw new InvalidArgumentError(`Invalid port '${word}': expected a port such as 80 or 53/udp.`);
  });
}
