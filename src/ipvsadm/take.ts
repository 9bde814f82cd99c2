/** Reads the value of one ipvsadm option into the draft, or throws a refusal. */
import { isIP } from 'node:net';
import type { SyncDaemon } from '../model/command.ts';
import type { Protocol } from '../model/service.ts';
import { formatAddress, parseAddress } from '../wire/address.ts';
import type { Draft } from './draft.ts';
import { parseEndpoint } from './endpoint.ts';
import type { Names } from './names.ts';
import { parseInetAton, parseNumber } from './numbers.ts';
import type { CommandName, OptionName } from './options.ts';
import { Refusal } from './refusal.ts';

const MAX_INT = 2_147_483_647;
const MAX_MARK = 4_294_967_295;
/** Seconds: 31 days. */
const MAX_TIMEOUT_S = 2_678_400;
/** Seconds of -p without a number (IP_VS_TEMPLATE_TIMEOUT, ip_vs.h). */
const DEFAULT_PERSISTENCE_S = 360;
const MAX_UDP_PAYLOAD = 65_507;
/** Characters of the longest interface name (IFNAMSIZ - 1); longer ones are cut. */
const MAX_INTERFACE_CHARACTERS = 15;

export function roleOf(command: CommandName, text: string): SyncDaemon['role'] {
  if (text === 'master' || text === 'backup') return text;
  throw new Refusal(
    command === 'start-daemon'
      ? 'illegal start-daemon parameter specified'
      : 'illegal start_daemon specified',
  );
}

export function takeIpv6(draft: Draft): void {
  if (draft.mark === 0) throw new Refusal('-6 used before -f\n');
  draft.family = 6;
  draft.mask = undefined;
}

/** Reads the three values of --set; returns the remaining words. */
export function takeTimeouts(draft: Draft, words: readonly string[]): readonly string[] {
  if (words.length < 3) throw new Refusal('--set option requires 3 timeout values');
  const [tcp, tcpFin, udp] = words.slice(0, 3).map((word) => parseTimeout(word, 0));
  draft.timeouts = [tcp!, tcpFin!, udp!];
  return words.slice(3);
}

function parseTimeout(text: string, least: number): number {
  const seconds = parseNumber(text, least, MAX_TIMEOUT_S);
  if (seconds === undefined) throw new Refusal(`invalid timeout value \`${text}' specified`);
  return seconds;
}

function bounded(text: string, least: number, most: number, what: string): number {
  const number = parseNumber(text, least, most);
  if (number === undefined) throw new Refusal(`illegal ${what} specified`);
  return number;
}

/**
 * Reads an option. `spelled`: which of its spellings was used; `isBare`: the optional argument is missing.
 */
export async function takeOption(
  draft: Draft,
  option: OptionName,
  spelled: string | undefined,
  value: string,
  isBare: boolean,
  names: Names,
): Promise<void> {
  switch (option) {
    case 'service-address':
      return spelled === 'mark'
        ? takeMark(draft, value)
        : await takeService(draft, spelled as Protocol, value, names);
    case 'real-server':
      return await takeServer(draft, value, names);
    case 'scheduler':
      draft.scheduler = value || 'wlc';
      return;
    case 'persistent':
      draft.persistent = isBare ? DEFAULT_PERSISTENCE_S : parseTimeout(value, 1);
      return;
    case 'netmask':
      draft.mask = parseMask(value, draft.family);
      return;
    case 'forwarding-method':
      draft.method = spelled as Draft['method'];
      return;
    case 'weight':
      draft.weight = bounded(value, 0, MAX_INT, 'weight');
      return;
    case 'u-threshold':
      draft.upper = bounded(value, 0, MAX_INT, 'u_threshold');
      return;
    case 'l-threshold':
      draft.lower = bounded(value, 0, MAX_INT, 'l_threshold');
      return;
    case 'pe':
      draft.engine = value;
      return;
    case 'tun-type':
      if (value !== 'ipip' && value !== 'gue' && value !== 'gre')
        throw new Refusal('illegal tunnel type specified');
      draft.tunnelType = value;
      return;
    case 'tun-port':
      draft.tunnelPort = bounded(value, 1, 65_535, 'tunnel port');
      return;
    case 'mcast-interface':
      draft.interface = value.slice(0, MAX_INTERFACE_CHARACTERS);
      return;
    case 'mcast-group':
      draft.group = parseGroup(value);
      return;
    case 'mcast-port':
      draft.mcastPort = bounded(value, 1, 65_535, 'mcast-port');
      return;
    case 'mcast-ttl':
      draft.ttl = bounded(value, 1, 255, 'mcast-ttl');
      return;
    case 'syncid':
      draft.syncId = bounded(value, 0, 255, 'syncid');
      return;
    case 'sync-maxlen':
      draft.maxLength = bounded(value, 1, MAX_UDP_PAYLOAD, 'sync-maxlen');
      return;
    default: // switches: it is enough that they are given
  }
}

function takeMark(draft: Draft, text: string): void {
  const mark = parseNumber(text, 1, MAX_MARK);
  if (mark === undefined) throw new Refusal(`invalid fwmark value \`${text}' specified`);
  draft.mark = mark;
  draft.protocol = 'tcp'; // the protocol for port names of its destinations
}

async function takeService(draft: Draft, protocol: Protocol, text: string, names: Names): Promise<void> {
  const endpoint = await parseEndpoint(text, protocol, names);
  if (endpoint === undefined) throw new Refusal('illegal virtual server address[:port] specified');
  draft.protocol = protocol;
  draft.address = endpoint.address;
  draft.port = endpoint.port ?? 0;
  draft.family = endpoint.family;
  if (endpoint.family === 6) draft.mask = undefined;
}

/** Reads the server; without a port it has the service's, if the service was given before. */
async function takeServer(draft: Draft, text: string, names: Names): Promise<void> {
  const endpoint = await parseEndpoint(text, draft.protocol, names);
  if (endpoint === undefined) throw new Refusal('illegal real server address[:port] specified');
  const { address, family, port = draft.port } = endpoint;
  draft.server = { address, family, port };
}

function parseMask(text: string, family: 4 | 6): number {
  if (family === 6) {
    const bits = Number(/^[ \t]*[+-]?\d+/.exec(text)?.[0] ?? 0);
    if (bits < 1 || bits > 128) throw new Refusal('illegal ipv6 netmask specified');
    return bits;
  }
  const word = parseInetAton(text);
  if (word === undefined) throw new Refusal('illegal virtual server persistent mask specified');
  return word;
}

function parseGroup(text: string): string {
  if (text.includes(':')) {
    const group = parseAddress(text);
    if (group && group[0]! >>> 24 === 0xff) return formatAddress(group);
    throw new Refusal(`invalid IPv6 mcast-group \`${text}'`);
  }
  if (isIP(text) === 4 && Number.parseInt(text, 10) >>> 4 === 14) return text;
  throw new Refusal(`invalid IPv4 mcast-group \`${text}'`);
}
