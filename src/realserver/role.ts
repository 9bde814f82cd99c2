/** What a real server is to be, by the command line and the director's configuration. */
import type { Document } from '../config/document.ts';
import { loadConfig } from '../config/load.ts';
import { systemNames } from '../config/names.ts';
import { LvsError } from '../model/errors.ts';
import { schedulers } from '../schedulers/index.ts';
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

/** The configuration, where the command line names one; its warnings go to `say`. */
export async function documentOf(
  { config }: RoleOptions,
  say: (line: string) => void,
): Promise<Document | undefined> {
  if (config === undefined) return undefined;
  const { document, warnings } = await loadConfig(config, systemNames(), Object.keys(schedulers));
  for (const warning of warnings) say(warning);
  return document;
}

/** The kinds of tunnels that the director's rules speak of, each once. */
function tunnelsOf(document: Document): Encapsulation[] {
  const kinds = new Map<string, Encapsulation>();
  for (const { options } of document.services.flatMap(({ destinations }) => destinations)) {
    if (options.method !== 'tunnel') continue;
    const { type, port } = options.tunnel ?? { type: 'ipip', port: 0 };
    kinds.set(`${type}:${port}`, type === 'gue' ? { type, port } : { type });
  }
  return [...kinds.values()];
}

/** The role that the configuration gives real servers; what the command line says comes first. */
export function roleOf(options: RoleOptions, document: Document | undefined): Role {
  const { vip, method, device, netDevice, gateway } = options;
  const tunnels = options.tunnel ?? (document ? tunnelsOf(document) : []);
  const chosen = method ?? document?.method ?? 'dr';
  const vips = vip ?? document?.vips.map(({ address }) => address) ?? [];
  if (vips.length === 0 && chosen !== 'nat')
    throw new LvsError('CONFIG', 'which VIP? name it with --vip, or a configuration with --config');
  const net = netDevice ?? document?.realServers.netDevice;
  const named = gateway ?? document?.realServers.gateway;
  // "client": the client is on the segment itself, and the default route of no account.
  const via = named ?? (chosen === 'nat' ? document?.director.inside?.address : undefined);
  return {
    method: chosen,
    vips: [...new Set(vips)],
    device: device ?? document?.realServers.vipDevice ?? 'lo',
    ...(net === undefined ? {} : { netDevice: net }),
    ...(via === undefined || via === 'client' ? {} : { gateway: via }),
    ...(tunnels.length === 0 ? {} : { encapsulations: tunnels }),
  };
}
