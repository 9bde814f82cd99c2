/** What a real server is to be, by the command line and the director's configuration. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { canonical, familyOfText } from '../../config/canonical.ts';
import type { Document } from '../../config/document.ts';
import { loadConfig } from '../../config/load.ts';
import { systemNames } from '../../config/names.ts';
import { LvsError } from '../../model/errors.ts';
import type { Encapsulation } from '../../realserver/encapsulation.ts';
import type { Role } from '../../realserver/plan.ts';
import { schedulers } from '../../schedulers/index.ts';

export interface RoleOptions {
  readonly config?: string;
  readonly vip?: readonly string[];
  readonly method?: Role['method'];
  readonly device?: string;
  readonly netDevice?: string;
  readonly gateway?: string;
  readonly tunnel?: readonly Encapsulation[];
}

/** Adds the options that say what the host is to be. */
export const withRole = (command: Command): Command =>
  command
    .option('--config <file>', "the director's lvs.conf or lvs.yaml")
    .option('--vip <addresses>', 'virtual addresses, with commas between', addresses)
    .addOption(
      new Option('--method <method>', 'forwarding method (default: dr)').choices(['dr', 'tunnel', 'nat']),
    )
    .option('--device <device>', 'carries the VIP: lo, lo:0, dummy0, tunl0 (default: lo)')
    .option('--net-device <device>', 'the device towards the director')
    .option('--gateway <address>', 'nat: the default route, which has to be the director')
    .option(
      '--tunnel <kinds>',
      'tunnel: ipip, gre, gue:PORT, with commas between (default: ipip)',
      encapsulations,
    );

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

function addresses(text: string): string[] {
  const list = text.split(',');
  const wrong = list.find((address) => familyOfText(address) === 0);
  if (wrong !== undefined) throw new InvalidArgumentError(`'${wrong}' is no address.`);
  // As the kernel names them: what it lists is compared with these.
  return list.map(canonical);
}

/** ipip, gre, gue:PORT, with commas between. */
function encapsulations(text: string): Encapsulation[] {
  return text.split(',').map((word) => {
    const [type, port] = word.split(':');
    if ((type === 'ipip' || type === 'gre') && port === undefined) return { type };
    if (type === 'gue' && Number(port) > 0 && Number(port) < 65_536) return { type, port: Number(port) };
    throw new InvalidArgumentError(`'${word}' is no kind of tunnel: ipip, gre, gue:PORT.`);
  });
}

/** The kinds of tunnels that the director's rules speak of, each once. */
function tunnelsOf(document: Document): Encapsulation[] {
  const kinds = new Map<string, Encapsulation>();
  for (const { options } of document.services.flatMap(({ destinations }) => destinations)) {
    if (options.method !== 'ipip') continue;
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
