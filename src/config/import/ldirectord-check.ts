/**
 * Carries ldirectord's checks of a virtual service over as the check of the service. A check that cannot be carried
 * over completely is left out, and its reason is reported.
 */
import { isIPv6 } from 'node:net';
import { DEFAULT_CHECK, type DestinationDocument } from '../document.ts';
import { type CheckDraft, type Draft, setNumber, wholeNumber } from './import-result.ts';
import type { Directive } from './ldirectord-lines.ts';
import { translatePattern } from './perl-pattern.ts';

/** A real server that was carried over as a destination. */
export interface RealServer {
  readonly destination: DestinationDocument;
  /** As the file has it; 0 where it has none. */
  readonly port: number;
  /** The server's own request and regular expression. */
  readonly request?: string | undefined;
  readonly receive?: string | undefined;
  readonly leave: (why: string) => void;
}

const UNCHECKED = 'the real servers of this service are not checked';
/** Seconds, as in ldirectord(8). */
const DEFAULT_TIMEOUT = 5;
const DEFAULT_NEGOTIATE_TIMEOUT = 30;
const DEFAULT_INTERVAL = 10;

/** What ldirectord asks a server for by default, by the port of the virtual service. */
const SERVICES: Readonly<Record<number, string>> = {
  ...{
    21: 'ftp',
    25: 'smtp',
    53: 'dns',
    80: 'http',
    110: 'pop',
    119: 'nntp',
    143: 'imap',
    389: 'ldap',
    443: 'https',
  },
  ...{ 587: 'submission', 636: 'ldaps', 993: 'imaps', 995: 'pops', 1521: 'oracle', 1812: 'radius' },
  ...{ 3128: 'http_proxy', 3306: 'mysql', 5060: 'sip', 5432: 'pgsql' },
};

/** Directives of checks; those of the types that use them. */
const USED_BY: Readonly<Record<string, readonly string[]>> = {
  request: ['http'],
  receive: ['http'],
  virtualhost: ['http'],
  httpmethod: ['http'],
  checkcommand: ['command'],
};

/** Directives that a check is read from. */
export interface CheckDirectives {
  /** The virtual directive itself. */
  readonly head: Directive;
  /** Of the virtual service, without those that concern its rules. */
  readonly own: readonly Directive[];
  readonly globals: readonly Directive[];
}

/** Returns the check of a service; undefined where it has none, or where the reason was reported why it has none. */
export function ldirectordCheck(
  draft: Draft,
  servers: readonly RealServer[],
  { head, own, globals }: CheckDirectives,
): CheckDraft | undefined {
  const ownOf = (key: string) => own.findLast((each) => each.key === key);
  const globalOf = (key: string) => globals.findLast((each) => each.key === key);
  for (const each of own) if (!KNOWN.has(each.key)) each.leave('not supported');
  const type = typeOf(draft, head, ownOf);
  if (type === undefined) return undefined;

  const check: CheckDraft = { type, ...DEFAULT_CHECK, rise: 1 };
  let isRead = true;
  const fail = (directive: Pick<Directive, 'leave'> | undefined, why: string) => {
    isRead = false;
    directive?.leave(`${why}: ${UNCHECKED}`);
  };
  const set = (key: Parameters<typeof setNumber>[1], directive: Directive | undefined, otherwise: number) => {
    const number = directive ? wholeNumber(/\d+/.exec(directive.value)?.[0]) : otherwise;
    if (!setNumber(check, key, number)) fail(directive, `${directive?.key} is outside the bounds of a check`);
  };
  const timeouts =
    type === 'http'
      ? (['negotiatetimeout', 'checktimeout'] as const)
      : (['checktimeout', 'negotiatetimeout'] as const);
  const timeout = [...timeouts.map(ownOf), ...timeouts.map(globalOf)].find((each) => each !== undefined);
  set('timeout', timeout, type === 'http' ? DEFAULT_NEGOTIATE_TIMEOUT : DEFAULT_TIMEOUT);
  set('fall', ownOf('failurecount') ?? globalOf('failurecount'), 1);
  set('interval', intervalOf(ownOf, globalOf), DEFAULT_INTERVAL);
  if (type === 'http') readHttp(check, servers, ownOf, fail);
  if (type === 'command') readCommand(check, draft, servers, ownOf, fail);
  else readPort(check, servers, ownOf('checkport'), ownOf('checktype') ?? servers[0], fail);
  for (const each of own)
    if (USED_BY[each.key] && !USED_BY[each.key]!.includes(type))
      each.leave(`a check of type ${type} does not use it`);
  return isRead ? check : undefined;
}

const KNOWN = new Set([
  ...Object.keys(USED_BY),
  ...[
    'checktype',
    'service',
    'checktimeout',
    'negotiatetimeout',
    'checkinterval',
    'checkcount',
    'failurecount',
  ],
  'checkport',
]);

type Find = (key: string) => Directive | undefined;
type Fail = (directive: Pick<Directive, 'leave'> | undefined, why: string) => void;

/** Without fork=yes the interval of a virtual service is ignored, as ldirectord warns. */
function intervalOf(ownOf: Find, globalOf: Find): Directive | undefined {
  const own = ownOf('checkinterval');
  if (own && globalOf('fork')?.value === 'yes') return own;
  own?.leave('ldirectord ignores the checkinterval of a virtual service without fork=yes');
  return globalOf('checkinterval');
}

/** Returns the type of check; undefined: the servers are not checked, and the reason was reported where it is ours. */
function typeOf(draft: Draft, head: Directive, ownOf: Find): 'tcp' | 'http' | 'command' | undefined {
  const { service } = draft;
  const kind = ownOf('checktype');
  const asked = ownOf('service');
  const name = asked?.value ?? ('port' in service ? (SERVICES[service.port] ?? 'none') : 'none');
  const report = kind ?? asked ?? head;
  switch (kind?.value ?? 'negotiate') {
    case 'on':
      return undefined;
    case 'off':
      draft.destinations = [];
      kind!.leave('off: ldirectord does not use the real servers of this service, so they were left out');
      return undefined;
    case 'connect':
      if (!('protocol' in service) || service.protocol !== 'udp') return 'tcp';
      report.leave(`ldirectord sends an ICMP echo, which is not supported: ${UNCHECKED}`);
      return undefined;
    case 'external':
    case 'external-perl':
      return 'command';
    case 'negotiate':
      if (name === 'http') return 'http';
      if (name === 'none') return undefined;
      (asked ?? report).leave(`the service ${name} is not supported: ${UNCHECKED}`);
      return undefined;
    default:
      report.leave(`checktype ${kind!.value} is not supported: ${UNCHECKED}`);
      return undefined;
  }
}

function readHttp(check: CheckDraft, servers: readonly RealServer[], ownOf: Find, fail: Fail): void {
  const [request, receive, host, method] = ['request', 'receive', 'virtualhost', 'httpmethod'].map(ownOf);
  check.status = [[200, 299]];
  check.host = host ? unquoted(host.value) : '$ADDRESS';
  if (!/^[!-~]+$/.test(check.host)) fail(host, 'invalid virtualhost');
  if (method && method.value.toUpperCase() !== 'GET')
    fail(method, `the method ${method.value} is not supported`);
  const pairs = servers.map((server) =>
    server.receive === undefined
      ? { path: unquoted(request?.value ?? '/'), pattern: unquoted(receive?.value ?? ''), from: undefined }
      : { path: server.request!, pattern: server.receive, from: server },
  );
  const [first] = pairs;
  const other = pairs.find(({ path, pattern }) => path !== first!.path || pattern !== first!.pattern);
  if (other) fail(other.from ?? first!.from, 'a request of one real server alone is not supported');
  if (!first || other) return;
  if (first.path.includes('://') || !/^[!-~]+$/.test(first.path))
    fail(first.from ?? request, 'invalid request: expected a path without blanks');
  check.path = `/${first.path.replace(/^\/+/, '')}`;
  if (first.pattern === '') return;
  const pattern = translatePattern(first.pattern);
  if ('why' in pattern) fail(first.from ?? receive, pattern.why);
  else check.match = pattern.match;
}

/** The command is called with the virtual service and the real server, addresses and ports; no shell splits it. */
function readCommand(
  check: CheckDraft,
  { service }: Draft,
  servers: readonly RealServer[],
  ownOf: Find,
  fail: Fail,
): void {
  const command = ownOf('checkcommand');
  const program = unquoted(command?.value ?? '/bin/true');
  if (/\s/.test(program)) fail(command, 'ldirectord takes blanks for a part of the path of the program');
  const bracketed = (address: string) => (isIPv6(address) ? `[${address}]` : address);
  const virtual =
    'mark' in service ? [String(service.mark), '0'] : [bracketed(service.address), String(service.port)];
  const isSix = servers.some(({ destination }) => isIPv6(destination.destination.address));
  const isOwn = servers.every(({ port, destination }) => port === destination.destination.port);
  const ports = new Set(servers.map(({ port }) => port));
  if (!isOwn && ports.size > 1) fail(command ?? servers[0], 'the real servers differ in their ports');
  const port = isOwn ? '$PORT' : String([...ports][0]);
  check.command = [program, ...virtual, isSix ? '[$ADDRESS]' : '$ADDRESS', port];
}

/** A check is made at checkport, or at the port that the file gives the real server. */
function readPort(
  check: CheckDraft,
  servers: readonly RealServer[],
  checkport: Directive | undefined,
  at: Pick<Directive, 'leave'> | undefined,
  fail: Fail,
): void {
  const fixed = checkport ? wholeNumber(checkport.value) : undefined;
  if (checkport && !setNumber(check, 'port', fixed)) fail(checkport, 'invalid checkport');
  if (checkport) return;
  const portOf = ({ port }: RealServer) => (port === 0 && check.type === 'http' ? 80 : port);
  if (servers.every((each) => portOf(each) === each.destination.destination.port && portOf(each) !== 0))
    return;
  const [first, ...others] = servers.map(portOf);
  if (others.some((port) => port !== first)) fail(at, 'the real servers are checked at different ports');
  else if (!setNumber(check, 'port', first)) fail(at, 'the real servers have no port to check');
}

const unquoted = (value: string): string => value.replace(/^"(.*)".*$/, '$1');
