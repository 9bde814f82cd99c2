/** Expands a valid lvs.yaml to a document: resolves names, applies groups and defaults. */

import type { MarkRule } from '../../model/command.ts';
import { canonical, familyOfText } from '../canonical-address.ts';
import { MAX_DEVICE_CHARACTERS } from '../device-names.ts';
import {
  DEFAULT_DRAIN,
  DEFAULT_RESTART,
  DEFAULT_TAKEOVER,
  type Document,
  type Interface,
  type RestartDocument,
} from '../document.ts';
import type { YamlFile } from '../schema.ts';
import { accessListsOf } from './access-lists.ts';
import { expandAnnounce } from './announce.ts';
import { expandCluster } from './cluster.ts';
import { expandJoin } from './join.ts';
import type { Path } from './position.ts';
import { expandServices } from './services.ts';
import { expandSync } from './sync.ts';
import type { YamlContext } from './yaml-context.ts';

export async function expand(context: YamlContext): Promise<Document> {
  const { file } = context;
  const inside = file.director?.inside && interfaceOf(context, file.director.inside, ['director', 'inside']);
  const directorGateway = gatewayOf(context, file.director?.gateway, ['director', 'gateway'], false);
  const servers = file['real-servers'] ?? {};
  const serverGateway = gatewayOf(context, servers.gateway, ['real-servers', 'gateway'], true);
  const cluster = await expandCluster(context);
  const timeouts = file.timeouts ?? {};
  const sync = expandSync(context);
  const join = expandJoin(context);
  const announce = expandAnnounce(context);
  return {
    method: file.method ?? 'dr',
    active: file.active ?? true,
    vips: (file.vips ?? []).flatMap((each, i) => interfaceOf(context, each, ['vips', i]) ?? []),
    director: { ...(inside && { inside }), ...(directorGateway && { gateway: directorGateway }) },
    realServers: {
      ...(servers['vip-device'] && { vipDevice: servers['vip-device'] }),
      ...(servers['net-device'] && { netDevice: servers['net-device'] }),
      ...(serverGateway && { gateway: serverGateway }),
    },
    settings: file.settings ?? {},
    ...(file['script-user'] !== undefined && { scriptUser: file['script-user'] }),
    timeouts: {
      ...(timeouts.tcp !== undefined && { tcp: timeouts.tcp }),
      ...(timeouts['tcp-fin'] !== undefined && { tcpFin: timeouts['tcp-fin'] }),
      ...(timeouts.udp !== undefined && { udp: timeouts.udp }),
    },
    marks: (file.marks ?? []).flatMap((each, i) => markRule(context, each, ['marks', i]) ?? []),
    ...(sync && { sync }),
    ...(join && { join }),
    ...(announce && { announce }),
    ...(file.takeover && { takeover: { ...DEFAULT_TAKEOVER, ...file.takeover } }),
    ...(cluster && { cluster }),
    adopt: file.adopt ?? 'keep',
    drain: file.drain ?? DEFAULT_DRAIN,
    restart: restartOf(context),
    ...accessListsOf(context, file, []),
    services: await expandServices(context),
  };
}

function restartOf({ file, notes, place }: YamlContext): RestartDocument {
  const restart = { ...DEFAULT_RESTART, ...file.restart };
  const { orphan, release } = restart;
  if (release < orphan)
    notes.error(
      place(['restart']),
      `invalid release ${release}: expected at least orphan, which is ${orphan}`,
    );
  return restart;
}

function interfaceOf(
  { notes, place }: YamlContext,
  each: NonNullable<YamlFile['vips']>[number],
  path: Path,
): Interface | undefined {
  const { interface: device, alias, address } = each;
  const family = familyOfText(address);
  if (family === 0)
    return notes.error(
      place([...path, 'address']),
      `invalid address '${address}': expected an IPv4 or IPv6 address`,
    );
  const most = family === 6 ? 128 : 32;
  const prefix = each.prefix ?? most;
  if (prefix > most)
    return notes.error(
      place([...path, 'prefix']),
      `invalid prefix ${prefix}: expected at most 32 bits for IPv4`,
    );
  const label = `${device}:${alias}`;
  if (alias !== undefined && label.length > MAX_DEVICE_CHARACTERS)
    return notes.error(
      place([...path, 'alias']),
      `invalid label ${label}: expected at most ${MAX_DEVICE_CHARACTERS} characters (IFNAMSIZ - 1)`,
    );
  return notes.at(place([...path, 'address']), {
    device,
    ...(alias !== undefined && { alias }),
    address: canonical(address),
    prefix,
    ...('shared' in each && each.shared && { isShared: true }),
  });
}

function gatewayOf(
  { notes, place }: YamlContext,
  text: string | undefined,
  path: Path,
  client: boolean,
): string | undefined {
  if (text === undefined || familyOfText(text) !== 0 || (client && text === 'client')) return text;
  return notes.error(
    place(path),
    `invalid gateway '${text}': expected an address${client ? ", or 'client'" : ''}`,
  );
}

function markRule(
  { notes, place }: YamlContext,
  each: NonNullable<YamlFile['marks']>[number],
  path: Path,
): MarkRule | undefined {
  const { mark, from, to, protocol, port } = each;
  for (const key of ['from', 'to'] as const) {
    const text = each[key];
    if (text !== undefined && !isPrefix(text))
      return notes.error(
        place([...path, key]),
        `invalid ${key} '${text}': expected an address or a prefix such as 10.8.0.0/16`,
      );
  }
  const [first = 0, last = first] = String(port ?? '')
    .split('-')
    .map(Number);
  if (port !== undefined && !(first >= 1 && first <= last && last <= 65_535))
    return notes.error(
      place([...path, 'port']),
      `invalid port '${port}': expected a port or first-last, from 1 to 65535`,
    );
  return {
    mark,
    ...(to !== undefined && { to }),
    ...(from !== undefined && { from }),
    ...(protocol !== undefined && { protocol }),
    ...(port !== undefined && { port: first === last ? first : ([first, last] as const) }),
  };
}

function isPrefix(text: string): boolean {
  const [address, bits, ...more] = text.split('/');
  const family = familyOfText(address!);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
}
