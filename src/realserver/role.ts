/** Determines the roles of a real server from the command line and the director's configuration. */
import type { DestinationDocument, Document, ServiceDocument } from '../config/document.ts';
import { LvsError } from '../model/errors.ts';
import type { Say } from '../model/level.ts';
import { formatService } from '../model/naming.ts';
import type { NlbCluster } from '../model/nlb.ts';
import type { Role } from './plan.ts';
import type { Encapsulation } from './tunnel/encapsulation.ts';

export interface RoleOptions {
  readonly config?: string;
  readonly vip?: readonly string[];
  readonly method?: Role['method'];
  readonly device?: string;
  readonly netDevice?: string;
  readonly gateway?: string;
  readonly tunnel?: readonly Encapsulation[];
}

/** Reads the configuration, if the command line names one; passes its warnings to `say`. Throws LvsError CONFIG. */
export async function documentOf({ config }: RoleOptions, say: Say): Promise<Document | undefined> {
  if (config === undefined) return undefined;
  // Parsers and validators take half of the time of a start without a configuration.
  const [{ loadConfig }, { systemNames }, { schedulers }] = await Promise.all([
    import('../config/load.ts'),
    import('../config/names.ts'),
    import('../schedulers/index.ts'),
  ]);
  const { document, warnings } = await loadConfig(config, systemNames(), Object.keys(schedulers));
  for (const warning of warnings) say(warning, 'warning');
  return document;
}

type Forwarded = Pick<DestinationDocument, 'options'>;

/** Returns the kinds of tunnels to the destinations, each once. */
function tunnelsOf(destinations: readonly Forwarded[]): Encapsulation[] {
  const kinds = new Map<string, Encapsulation>();
  for (const { options } of destinations) {
    if (options.method !== 'tunnel') continue;
    const { type, port } = options.tunnel ?? { type: 'ipip', port: 0 };
    kinds.set(`${type}:${port}`, type === 'gue' ? { type, port } : { type });
  }
  return [...kinds.values()];
}

/**
 * Returns the roles of a host with the addresses `own`: one per forwarding method by which destinations of the
 * configuration name it, or by which it joins services, whose names are `joined`. Options of the command line take
 * precedence. A host that no destination names, and that joins nothing, gets the cluster's method and all VIPs.
 */
export function rolesOf(
  options: RoleOptions,
  document: Document | undefined,
  own: ReadonlySet<string>,
  joined: ReadonlySet<string> = new Set(),
): readonly Role[] {
  if (document?.cluster) return [clusterRole(document.cluster)];
  const named = document ? namedBy(document, own, joined) : [];
  if (!document || named.length === 0 || options.vip || options.method) return [roleOf(options, document)];
  return (['dr', 'tunnel', 'nat'] as const).flatMap((method) => {
    const mine = named.filter(({ destination }) => destination.options.method === method);
    if (mine.length === 0) return [];
    const destinations = mine.map(({ destination }) => destination);
    const tunnels = options.tunnel ?? tunnelsOf(destinations);
    const vips =
      method === 'nat' ? [] : [...new Set(mine.flatMap(({ service }) => vipsOf(service, document)))];
    return [
      {
        ...roleOf({ ...options, method, vip: vips }, document),
        ...(method === 'tunnel' && tunnels.length > 0 ? { encapsulations: tunnels } : {}),
      },
    ];
  });
}

/** A host of a cluster without a director: it has the addresses, and its filter answers for them. */
const clusterRole = ({ addresses, device }: NlbCluster): Role => ({
  method: 'dr',
  vips: addresses,
  device: 'lo',
  netDevice: device,
});

/** The destinations of the configuration that are this host, or that it joins as, with their services. */
const namedBy = ({ services }: Document, own: ReadonlySet<string>, joined: ReadonlySet<string>) =>
  services.flatMap((service) => {
    const { destinations, join } = service;
    const mine: Forwarded[] = destinations.filter(({ destination }) => own.has(destination.address));
    if (join && joined.has(formatService(service.service))) mine.push(join);
    return mine.map((destination) => ({ service, destination }));
  });

/** The addresses that clients of the service use; those of a firewall mark may be any VIP of its family. */
function vipsOf({ service }: ServiceDocument, { vips }: Document): string[] {
  if ('address' in service) return [service.address];
  return vips
    .map(({ address }) => address)
    .filter((address) => address.includes(':') === (service.family === 6));
}

/** Returns the role that the configuration gives every real server. Options of the command line take precedence. */
function roleOf(options: RoleOptions, document: Document | undefined): Role {
  const { vip, method, device, netDevice, gateway } = options;
  const all = document?.services.flatMap(({ destinations }) => destinations) ?? [];
  const tunnels = options.tunnel ?? tunnelsOf(all);
  const chosen = method ?? document?.method ?? 'dr';
  const vips = vip ?? document?.vips.map(({ address }) => address) ?? [];
  if (vips.length === 0 && chosen !== 'nat')
    throw new LvsError('CONFIG', 'VIP: missing: expected --vip, or a configuration with --config');
  const net = netDevice ?? document?.realServers.netDevice;
  const named = gateway ?? document?.realServers.gateway;
  // "client": the client is on the segment itself, so the default route does not matter.
  const via = named ?? (chosen === 'nat' ? document?.director.inside?.address : undefined);
  return {
    method: chosen,
    vips: [...new Set(vips)],
    device: device ?? document?.realServers.vipDevice ?? 'lo',
    ...(net === undefined ? {} : { netDevice: net }),
    ...(via === undefined || via === 'client' ? {} : { gateway: via }),
    ...(tunnels.length === 0 || chosen !== 'tunnel' ? {} : { encapsulations: tunnels }),
  };
}
