/** Imports the virtual servers of keepalived.conf(5), as keepalived 2.2.7 reads them. */
import type { DestinationOptions } from '../../model/destination.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import { FLAG_BITS } from '../yaml/services.ts';
import {
  addDestination,
  type Draft,
  documentOf,
  familyOfService,
  granularity,
  type ImportContext,
  type Imported,
  type LeftOut,
  newDraft,
  type SourceLine,
  wholeNumber,
} from './import-result.ts';
import { readChecks, type WatchedServer } from './keepalived-check.ts';
import { readConsequences } from './keepalived-consequences.ts';
import { expandLines, type KeepalivedSources } from './keepalived-lines.ts';
import { userOf } from './keepalived-script.ts';
import {
  firstAddress,
  type Groups,
  type Leave,
  lastOf,
  protocolOf,
  type ServedAddress,
  servicesOf,
} from './keepalived-services.ts';
import { parseStatements, type Statement } from './keepalived-statements.ts';
import { SYNC_DAEMON, syncOf } from './keepalived-sync.ts';
import { vipsOf } from './keepalived-vips.ts';
import { destinationPort, readWay, type Way } from './keepalived-ways.ts';

type Options = { -readonly [K in keyof DestinationOptions]: DestinationOptions[K] };

const DEFAULT_SCHEDULER = 'wlc';
/** Seconds of `persistence_timeout` without a value, and of a service without a port. */
const DEFAULT_PERSISTENCE = 360;
const MAX_PERSISTENCE = 2_678_400;
const MAX_WEIGHT = 2_147_483_647;

/** Keywords of a virtual server that its checks, its ports or its addresses use: read elsewhere. */
const READ_ELSEWHERE = new Set([
  ...['protocol', 'weight', 'delay_loop', 'connect_timeout', 'retry', 'delay_before_retry'],
  ...['virtualhost', 'inhibit_on_failure', 'warmup', 'real_server'],
  ...['sorry_server', 'sorry_server_inhibit', 'sorry_server_lvs_method', 'quorum', 'hysteresis'],
  ...['quorum_up', 'quorum_down', 'notify_up', 'notify_down'],
]);
/** Keywords of global_defs that are read, or that concern only how keepalived runs programs. */
const READ_GLOBALS = new Set(['script_user', 'enable_script_security', SYNC_DAEMON]);
const NO_COUNTERPART = 'not supported';
/** Why a VRRP instance is left out. */
export const STAYS_WITH_KEEPALIVED = 'it stays in keepalived.conf, with its VIPs';
export const VIPS_TAKEN = 'its VIPs are taken over, and only this host has them';

/** `takesVips`: the document has the VIPs of VRRP instances, and keepalived must not run. */
export function importKeepalived(
  text: string,
  {
    schedulers,
    takesVips = false,
    ...sources
  }: Pick<ImportContext, 'schedulers'> & KeepalivedSources & { readonly takesVips?: boolean },
): Imported {
  const leftOut: LeftOut[] = [];
  const complaints = new Set<string>();
  const complain = (at: SourceLine, why: string) => {
    // The statements of a group's service are read once for each address of the group.
    const key = JSON.stringify([at.file, at.line, why]);
    if (complaints.has(key)) return;
    complaints.add(key);
    leftOut.push({ ...at, text: at.text.trim(), why });
  };
  const leave: Leave = ({ at }, why) => complain(at, why);
  const statements = parseStatements(expandLines(text, sources, complain), complain);
  const groups = new Map<string, readonly Statement[]>();
  for (const each of statements.filter(({ words }) => words[0] === 'virtual_server_group')) {
    const [, name = ''] = each.words;
    if (groups.has(name)) leave(each, `the virtual_server_group '${name}' already exists`);
    else groups.set(name, each.body ?? []);
  }
  const drafts: Draft[] = [];
  for (const each of statements) {
    if (each.words[0] === 'virtual_server') addServices(each, drafts, { groups, schedulers, leave });
    else if (each.words[0] === 'vrrp_instance') leave(each, takesVips ? VIPS_TAKEN : STAYS_WITH_KEEPALIVED);
    else if (each.words[0] !== 'virtual_server_group' && !isRead(each))
      leave(each, 'only virtual servers are imported');
  }
  const globals = statements
    .filter(({ words }) => words[0] === 'global_defs')
    .flatMap(({ body = [] }) => body);
  const user = drafts.some((each) => usesPrograms(each) || hasCommands(each))
    ? scriptUserOf(lastOf(globals, 'script_user'), leave)
    : undefined;
  if (user !== undefined) setUsers(drafts, user);
  const scriptUser = drafts.some(usesPrograms) ? user : undefined;
  const order = (a: LeftOut, b: LeftOut) => (a.file ?? '').localeCompare(b.file ?? '') || a.line - b.line;
  const instances = statements.filter(({ words }) => words[0] === 'vrrp_instance');
  const sync = syncOf(globals, instances, leave);
  const document = {
    ...documentOf(drafts),
    vips: takesVips ? instances.flatMap((each) => vipsOf(each, leave)) : [],
    ...(sync !== undefined && { sync }),
    ...(scriptUser !== undefined && { scriptUser }),
  };
  return { document, leftOut: leftOut.sort(order) };
}

/** Reports whether it is a global_defs of which nothing is lost. */
const isRead = ({ words, body = [] }: Statement): boolean =>
  words[0] === 'global_defs' && body.every((each) => READ_GLOBALS.has(each.words[0]!));

const usesPrograms = ({ notify, destinations }: Draft): boolean =>
  notify !== undefined || destinations.some((each) => each.notify);

/** A command runs as script_user if its checker has no user. */
function setUsers(drafts: readonly Draft[], scriptUser: string): void {
  for (const { destinations } of drafts)
    for (const each of destinations)
      if (each.checks)
        each.checks = each.checks.map((check) =>
          check.type === 'command' ? { ...check, user: check.user ?? scriptUser } : check,
        );
}

const hasCommands = ({ destinations }: Draft): boolean =>
  destinations.some(({ checks }) => checks?.some(({ type }) => type === 'command'));

/** Reads `script_user USER [GROUP]`. */
function scriptUserOf(statement: Statement | undefined, leave: Leave): string | undefined {
  if (!statement) return undefined;
  const user = userOf(statement);
  if (user !== undefined) return user;
  leave(statement, 'invalid script_user: expected the names of a user and a group');
  return undefined;
}

interface Context {
  readonly groups: Groups;
  readonly schedulers: readonly string[];
  readonly leave: Leave;
}

function addServices(server: Statement, drafts: Draft[], { groups, schedulers, leave }: Context): void {
  const body = server.body ?? [];
  protocolOf(body, leave);
  for (const served of servicesOf(server, groups, leave)) {
    const draft = newDraft(served.service, DEFAULT_SCHEDULER);
    const way = readOptions(draft, body, schedulers, leave);
    const servers = body.filter(({ words }) => words[0] === 'real_server');
    const watched = servers.flatMap((each) => readServer(draft, served, { each, way, body }, leave) ?? []);
    readChecks(body, watched, leave);
    readConsequences(draft, { body, watched, served, way }, leave);
    const first = drafts.find((before) => formatService(before.service) === formatService(draft.service));
    if (draft.destinations.length === 0) leave(server, 'no real server, so keepalived ignores it');
    else if (first) leave(server, merge(first, draft));
    else drafts.push(draft);
  }
}

/** keepalived adds the real servers of a second virtual server of the same address to the first one. */
function merge(first: Draft, { service, destinations }: Draft): string {
  const known = new Set(first.destinations.map((each) => formatDestination(each.destination)));
  first.destinations.push(...destinations.filter((each) => !known.has(formatDestination(each.destination))));
  return `the service ${formatService(service)} already exists: only its real servers are added`;
}

/** Reads the options of a virtual server into `draft`; returns how its real servers are reached. */
function readOptions(
  draft: Draft,
  body: readonly Statement[],
  schedulers: readonly string[],
  leave: Leave,
): Way {
  const { options, service } = draft;
  let way: Way = { method: 'nat' };
  for (const each of body) {
    const [word = '', value] = each.words;
    const why = OPTIONS[word]?.(draft, value, schedulers);
    if (why !== undefined) leave(each, why);
    if (OPTIONS[word] || READ_ELSEWHERE.has(word)) continue;
    if (word === 'lb_kind' || word === 'lvs_method') way = readWay(each, leave) ?? way;
    else if (Object.hasOwn(FLAG_BITS, word)) {
      // A flag counts only below the scheduler that has it.
      if (word.startsWith('flag-') || word.startsWith(`${options.scheduler}-`))
        options.schedulerFlags = (options.schedulerFlags ?? 0) | FLAG_BITS[word]!;
      else leave(each, `${word} does not apply to the scheduler ${options.scheduler}`);
    } else leave(each, NO_COUNTERPART);
  }
  if ('port' in service && service.port === 0) options.persistent ??= DEFAULT_PERSISTENCE;
  return way;
}

/** Options of the service itself: each returns why it was left out, or undefined. */
const OPTIONS: Readonly<
  Record<
    string,
    | ((draft: Draft, value: string | undefined, schedulers: readonly string[]) => string | undefined)
    | undefined
  >
> = {
  lb_algo: takeScheduler,
  lvs_sched: takeScheduler,
  persistence_timeout({ options }, value) {
    const seconds = value === undefined ? DEFAULT_PERSISTENCE : (wholeNumber(value) ?? 0);
    if (seconds < 1 || seconds > MAX_PERSISTENCE)
      return `invalid persistence_timeout: expected 1 to ${MAX_PERSISTENCE}`;
    options.persistent = seconds;
    return undefined;
  },
  persistence_granularity({ options, service }, value = '') {
    const isNetmask = value.includes('.') === (familyOfService(service) === 4);
    const bits = isNetmask ? granularity(value, service) : undefined;
    if (bits === undefined)
      return 'invalid persistence_granularity: expected a netmask (IPv4) or a prefix length (IPv6)';
    options.persistencePrefix = bits;
    options.persistent ??= DEFAULT_PERSISTENCE;
    return undefined;
  },
  persistence_engine({ options }, value) {
    if (value !== 'sip') return 'invalid persistence engine: expected sip';
    options.engine = value;
    return undefined;
  },
  ops({ options, service }) {
    if ('protocol' in service && service.protocol !== 'udp') return 'ops requires UDP or a firewall mark';
    options.ops = true;
    return undefined;
  },
  ip_family({ service }, value) {
    const family = familyOfService(service);
    return value === (family === 6 ? 'inet6' : 'inet') ? undefined : `the service is IPv${family}`;
  },
};

function takeScheduler(
  draft: Draft,
  value: string | undefined,
  schedulers: readonly string[],
): string | undefined {
  if (value === undefined || !schedulers.includes(value))
    return `invalid scheduler: ${draft.options.scheduler} is used`;
  draft.options.scheduler = value;
  return undefined;
}

interface RealServer {
  readonly each: Statement;
  /** How the virtual server reaches its real servers. */
  readonly way: Way;
  /** Statements of the virtual server. */
  readonly body: readonly Statement[];
}

/** Adds a real server as a destination; undefined where it was left out. */
function readServer(
  draft: Draft,
  { service, isGrouped }: ServedAddress,
  { each, way, body }: RealServer,
  leave: Leave,
): WatchedServer | undefined {
  const [, host = '', portText] = each.words;
  const port = portText === undefined ? 0 : leadingNumber(portText);
  const options: Options = { ...way, weight: weightOf(body) ?? 1 };
  for (const statement of each.body ?? []) {
    const why = takeServerOption(options, statement, leave);
    if (why !== undefined) leave(statement, why);
  }
  const address = firstAddress(host);
  const why =
    portText !== undefined && port === 0 && portText !== '0'
      ? 'invalid port: expected 1 to 65535'
      : addDestination(draft, address, destinationPort(service, port, options, isGrouped), options);
  if (address !== host) leave(each, `${address} alone is used`);
  if (why !== undefined) {
    leave(each, why);
    return undefined;
  }
  return { statement: each, destination: draft.destinations.at(-1)!, port };
}

/** Returns the weight of the virtual server. */
const weightOf = (body: readonly Statement[]): number | undefined =>
  body.reduce<number | undefined>(
    (before, each) => (each.words[0] === 'weight' ? (weightIn(each) ?? before) : before),
    undefined,
  );

/** Returns the weight of a statement; undefined: it has no effect. */
function weightIn({ words: [, value = ''] }: Statement): number | undefined {
  const weight = value.startsWith('-') ? undefined : leadingNumber(value);
  return weight !== undefined && weight <= MAX_WEIGHT ? weight : undefined;
}

/** Reads a number as strtoul(3): what follows its digits is ignored, and without digits it is 0. */
const leadingNumber = (text: string): number => Number(/^\+?(\d+)/.exec(text)?.[1] ?? 0);

function takeServerOption(options: Options, statement: Statement, leave: Leave): string | undefined {
  const [word = '', value] = statement.words;
  const number = wholeNumber(value);
  switch (word) {
    case 'lvs_method':
    case 'lb_kind': {
      const way = readWay(statement, leave);
      if (way === undefined) return undefined;
      delete options.tunnel;
      Object.assign(options, way);
      return undefined;
    }
    case 'weight':
      options.weight = weightIn(statement) ?? options.weight ?? 1;
      return number === options.weight ? undefined : `invalid weight: ${options.weight} is used`;
    case 'uthreshold':
    case 'lthreshold': {
      const threshold = leadingNumber(value ?? '');
      if (threshold > 0) options[word === 'uthreshold' ? 'upperThreshold' : 'lowerThreshold'] = threshold;
      return number === threshold ? undefined : `invalid ${word}: ${threshold} is used`;
    }
    default:
      // Checkers and what they inherit are read by keepalived-check.
      if (statement.body || READ_ELSEWHERE.has(word)) return undefined;
      return NO_COUNTERPART;
  }
}
