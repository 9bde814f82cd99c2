/** Reads the virtual_server blocks of keepalived.conf(5): services, real servers and their checks. */
import type { DestinationOptions, TunnelOptions } from '../../model/destination.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { parseAddress } from '../../wire/address.ts';
import { FLAG_BITS } from '../yaml/services.ts';
import {
  addDestination,
  addressOf,
  type Draft,
  documentOf,
  granularity,
  type ImportContext,
  type Imported,
  isPort,
  type LeftOut,
  markOf,
  newDraft,
  secondsOf,
  setNumber,
  wholeNumber,
  whyNotService,
} from './import-result.ts';
import { keepalivedCheck } from './keepalived-check.ts';
import { parseKeepalived, type Statement } from './keepalived-statements.ts';

const METHODS: Readonly<Record<string, DestinationOptions['method']>> = {
  NAT: 'nat',
  DR: 'dr',
  TUN: 'tunnel',
};

/** keepalived's default of persistence_timeout, seconds. */
const DEFAULT_PERSISTENCE = 360;
/** Most addresses of one entry of a group, `10.0.0.1-20`. */
const MAX_RANGE = 1024;

type Leave = (statement: Statement, why: string) => void;
type Groups = ReadonlyMap<string, readonly Statement[]>;
type Way = Pick<DestinationOptions, 'method' | 'tunnel'>;

export function importKeepalived(text: string, { schedulers }: Pick<ImportContext, 'schedulers'>): Imported {
  const leftOut: LeftOut[] = [];
  const leave: Leave = ({ line, words }, why) => {
    const text = words.join(' ');
    // A block for a group is read once for each of its addresses.
    if (!leftOut.some((each) => each.line === line && each.text === text)) leftOut.push({ line, text, why });
  };
  const statements = parseKeepalived(text, (line, why) => leftOut.push({ line, text: '', why }));
  const groups = new Map<string, readonly Statement[]>();
  for (const each of statements)
    if (each.words[0] === 'virtual_server_group') groups.set(each.words[1] ?? '', each.body ?? []);

  const drafts: Draft[] = [];
  for (const each of statements) {
    const [word] = each.words;
    if (word === 'virtual_server_group') continue;
    if (word !== 'virtual_server') {
      leave(each, 'only virtual_server blocks are read');
      continue;
    }
    for (const service of servicesOf(each, each.words.slice(1), each, groups, leave)) {
      const draft = newDraft(service);
      readService(draft, each.body ?? [], schedulers, leave);
      const why = whyNotService(draft, drafts);
      if (why === undefined) drafts.push(draft);
      else leave(each, why);
    }
  }
  return { document: documentOf(drafts), leftOut: leftOut.sort((a, b) => a.line - b.line) };
}

/** The addresses that a virtual_server, or an entry of a group, stands for; `at` is where they are written. */
function servicesOf(
  server: Statement,
  words: readonly string[],
  at: Statement,
  groups: Groups,
  leave: Leave,
): ServiceAddress[] {
  const body = server.body ?? [];
  const protocol = (said(body, 'protocol') ?? 'tcp').toLowerCase();
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') {
    leave(at, `protocol ${protocol}: expected TCP, UDP or SCTP`);
    return [];
  }
  const [first, second] = words;
  if (first === 'group') {
    const entries = groups.get(second ?? '');
    if (!entries) leave(at, `there is no virtual_server_group ${second ?? ''}`);
    return (entries ?? []).flatMap((each) => servicesOf(server, each.words, each, new Map(), leave));
  }
  const mark = first === 'fwmark' ? markOf(second) : undefined;
  if (mark !== undefined) return [{ mark, family: familyOf(body) }];
  const range = /^([\d.]+)-(\d{1,3})$/.exec(first ?? '');
  const hosts = range ? hostsOf(range[1]!, Number(range[2])) : [first ?? ''];
  const ports = /^(\d{1,5})-(\d{1,5})$/.exec(second ?? '');
  const services = hosts.flatMap((host) =>
    portsOf(ports?.[1] ?? second ?? '0', ports?.[2]).map((port) => addressOf(protocol, host, port)),
  );
  if (services.length > 0 && services.every((each) => each !== undefined)) return services;
  leave(at, 'expected an address and a port, fwmark N, or group NAME');
  return [];
}

/** The last octet runs to `last`. */
function hostsOf(first: string, last: number): string[] {
  const address = parseAddress(first);
  const from = (address?.[3] ?? 0) & 0xff;
  if (!address || last < from || last > 255) return [];
  const network = first.slice(0, first.lastIndexOf('.'));
  return Array.from({ length: last - from + 1 }, (_, i) => `${network}.${from + i}`);
}

function portsOf(first: string, last: string | undefined): string[] {
  if (last === undefined) return [first];
  const count = Number(last) - Number(first) + 1;
  return count < 1 || count > MAX_RANGE
    ? []
    : Array.from({ length: count }, (_, i) => String(Number(first) + i));
}

/** Of a mark: as said, or else that of its first real server. */
function familyOf(body: readonly Statement[]): 4 | 6 {
  const family = said(body, 'ip_family') ?? said(body, 'real_server') ?? '';
  return family === 'inet6' || family.includes(':') ? 6 : 4;
}

const said = (body: readonly Statement[], word: string): string | undefined =>
  body.find(({ words }) => words[0] === word)?.words[1];

function readService(
  draft: Draft,
  body: readonly Statement[],
  schedulers: readonly string[],
  leave: Leave,
): void {
  const { options, service } = draft;
  let way: Way = { method: 'nat' };
  const flags: Statement[] = [];
  const servers: Statement[] = [];
  for (const each of body) {
    const [word = '', value, ...more] = each.words;
    if (word === 'lb_kind' || word === 'lvs_method') {
      const found = wayOf(each);
      if (found) way = found;
      else leave(each, 'expected NAT, DR or TUN');
      continue;
    }
    if (more.length > 0 && KNOWN.has(word)) leave(each, `what follows ${word} ${value} was not read`);
    if (word === 'lb_algo' || word === 'lvs_sched') {
      if (schedulers.includes(value ?? '')) options.scheduler = value!;
      else leave(each, 'there is no such scheduler; wlc is taken');
    } else if (word === 'persistence_timeout') {
      options.persistent = value === undefined ? DEFAULT_PERSISTENCE : (wholeNumber(value) ?? 0);
      if (options.persistent === 0) leave(each, 'expected seconds');
    } else if (word === 'persistence_granularity') {
      const bits = granularity(value ?? '', service);
      if (bits === undefined) leave(each, 'expected a netmask or a prefix');
      else options.persistencePrefix = bits;
    } else if (word === 'persistence_engine') {
      if (value === 'sip') options.engine = value;
      else leave(each, 'there is no such engine');
    } else if (word === 'ops') {
      if ('protocol' in service && service.protocol !== 'udp') leave(each, 'for UDP and firewall marks only');
      else options.ops = true;
    } else if (word === 'ip_family') {
      const family = 'mark' in service ? service.family : service.address.includes(':') ? 6 : 4;
      if (value !== (family === 6 ? 'inet6' : 'inet')) leave(each, `the service is of IPv${family}`);
    } else if (Object.hasOwn(FLAG_BITS, word)) flags.push(each);
    else if (word === 'real_server') servers.push(each);
    else if (word !== 'protocol' && word !== 'delay_loop') leave(each, 'has no counterpart here');
  }
  for (const each of flags) {
    const flag = each.words[0]!;
    if (/^(\w+)-/.exec(flag)![1] === options.scheduler || flag.startsWith('flag-'))
      options.schedulerFlags = (options.schedulerFlags ?? 0) | FLAG_BITS[flag]!;
    else leave(each, `is no flag of the scheduler ${options.scheduler}`);
  }
  const read = servers.filter((each) => readServer(draft, each, way, leave));
  const check = keepalivedCheck(read, leave);
  const loop = body.find(({ words }) => words[0] === 'delay_loop');
  if (check) {
    if (loop && !setNumber(check, 'interval', secondsOf(loop.words[1]))) leave(loop, 'expected 0.1 to 3600');
    draft.check = check;
  } else if (loop) leave(loop, 'no real server is watched');
}

/** Those of a service that take one value. */
const KNOWN = new Set([
  'lb_algo',
  'lvs_sched',
  'persistence_timeout',
  'persistence_granularity',
  'persistence_engine',
  'ip_family',
  'protocol',
  'delay_loop',
]);

/** `lvs_method NAT|DR|TUN [type ipip|gue|gre] [port N] [nocsum|csum|remcsum]` */
function wayOf({ words }: Statement): Way | undefined {
  const [, kind = '', ...rest] = words;
  const method = Object.hasOwn(METHODS, kind.toUpperCase()) ? METHODS[kind.toUpperCase()] : undefined;
  if (!method || rest.length === 0) return method && { method };
  if (method !== 'tunnel') return undefined;
  const tunnel: { -readonly [K in keyof TunnelOptions]: TunnelOptions[K] } = {
    type: 'ipip',
    port: 0,
    checksum: 'none',
  };
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i]!;
    const next = rest[i + 1] ?? '';
    if (word === 'type' && (next === 'ipip' || next === 'gue' || next === 'gre'))
      tunnel.type = rest[++i] as typeof next;
    else if (word === 'port' && isPort(Number(next))) tunnel.port = Number(rest[++i]);
    else if (word === 'csum' || word === 'remcsum') tunnel.checksum = word;
    else if (word !== 'nocsum') return undefined;
  }
  if ((tunnel.type === 'gue') !== tunnel.port > 0) return undefined;
  if (
    tunnel.checksum === 'remcsum'
      ? tunnel.type !== 'gue'
      : tunnel.checksum === 'csum' && tunnel.type === 'ipip'
  )
    return undefined;
  return { method, tunnel };
}

/** Takes a real server as a destination; true: it was. Its checks are read by another. */
function readServer(draft: Draft, statement: Statement, way: Way, leave: Leave): boolean {
  const [, host = '', port] = statement.words;
  const own = 'port' in draft.service ? draft.service.port : 0;
  const options: { -readonly [K in keyof DestinationOptions]: DestinationOptions[K] } = { ...way };
  for (const each of statement.body ?? []) {
    const [word = '', value, ...more] = each.words;
    const number = wholeNumber(value);
    if (word === 'lvs_method') {
      const found = wayOf(each);
      if (!found) leave(each, 'expected NAT, DR or TUN');
      else Object.assign(options, { tunnel: undefined }, found);
      continue;
    }
    if (each.body) continue;
    if (word === 'weight' && number !== undefined) options.weight = number;
    else if (word === 'uthreshold' && number !== undefined) options.upperThreshold = number;
    else if (word === 'lthreshold' && number !== undefined) options.lowerThreshold = number;
    // What the director does anyway: a failed server is quiesced.
    else if (word !== 'inhibit_on_failure') {
      leave(each, 'has no counterpart here');
      continue;
    }
    if (more.length > 0) leave(each, `what follows ${word} ${value} was not read`);
  }
  if (options.tunnel === undefined) delete options.tunnel;
  const why = addDestination(draft, host, port === undefined ? own : Number(port), options);
  if (why) leave(statement, why);
  return why === undefined;
}
