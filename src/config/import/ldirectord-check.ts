/**
 * Carries ldirectord's checks of a virtual service over as the checks of its destinations. A check that cannot be
 * carried over completely is left out, and its reason is reported.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { Check } from '../../model/check.ts';
import { CHECK_KEYS } from '../check-schema.ts';
import { DEFAULT_CHECK } from '../document.ts';
import {
  type CheckDraft,
  type DestinationDraft,
  type Draft,
  setNumber,
  wholeNumber,
} from './import-result.ts';
import type { Directive } from './ldirectord-lines.ts';
import { translatePattern } from './perl-pattern.ts';

/** A real server that was carried over as a destination. */
export interface RealServer {
  readonly destination: DestinationDraft;
  /** As the file has it; 0 where it has none. */
  readonly port: number;
  /** The server's own request and regular expression. */
  readonly request?: string | undefined;
  readonly receive?: string | undefined;
  readonly leave: (why: string) => void;
}

const UNCHECKED = 'the real servers of this service are not checked';
const UNCHECKED_ONE = 'this real server is not checked';
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

const HTTP: readonly Check['type'][] = ['http', 'https'];
/** Types that negotiatetimeout limits. */
const NEGOTIATED: readonly Check['type'][] = [...HTTP, 'dns', 'smtp'];
/** Seconds until the next ICMP echo after one without a reply, within one check of ldirectord. */
const ECHO_RETRY = 1;
/** Redirects that ldirectord's HTTP library follows (LWP::UserAgent, max_redirect). */
const LWP_REDIRECTS = 7;

const USUAL_PORTS: Readonly<Partial<Record<Check['type'], number>>> = {
  http: 80,
  https: 443,
  dns: 53,
  smtp: 25,
};

/** Directives of checks; those of the types that use them. */
const USED_BY: Readonly<Record<string, readonly Check['type'][]>> = {
  request: [...HTTP, 'dns'],
  receive: [...HTTP, 'dns'],
  virtualhost: HTTP,
  httpmethod: HTTP,
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

/** Gives the destinations of `servers` their checks; what is not carried over is reported. */
export function readChecks(
  draft: Draft,
  servers: readonly RealServer[],
  { head, own, globals }: CheckDirectives,
): void {
  const ownOf = (key: string) => own.findLast((each) => each.key === key);
  const globalOf = (key: string) => globals.findLast((each) => each.key === key);
  for (const each of own) if (!KNOWN.has(each.key)) each.leave('not supported');
  const type = typeOf(draft, head, ownOf);
  if (type === undefined) return;

  const check: CheckDraft = { type, ...DEFAULT_CHECK, rise: 1 };
  let isRead = true;
  const fail: Fail = (directive, why) => {
    isRead = false;
    (directive ?? head).leave(`${why}: ${UNCHECKED}`);
  };
  const isHttp = HTTP.includes(type);
  readTimes(check, { ownOf, globalOf }, fail);
  if (type === 'ping') readAttempts(check, ownOf('checkcount') ?? globalOf('checkcount'), fail);
  if (isHttp) readHttp(check, ownOf, fail);
  if (isHttp || type === 'dns') readRequest(check, servers, ownOf, fail);
  if (type === 'dns' && 'protocol' in draft.service && draft.service.protocol === 'tcp')
    fail(head, 'a DNS query over TCP is not supported');
  const command = type === 'command' ? readCommand(draft, ownOf, fail) : [];
  const checkport = ownOf('checkport');
  if (checkport && type !== 'command' && !setNumber(check, 'port', wholeNumber(checkport.value)))
    fail(checkport, 'invalid checkport');
  for (const each of own)
    if (USED_BY[each.key] && !USED_BY[each.key]!.includes(type))
      each.leave(`a check of type ${type} does not use it`);
  if (!isRead) return;
  for (const server of servers) {
    const its = serverCheck(check, server, command);
    if (typeof its === 'string') server.leave(`${its}: ${UNCHECKED_ONE}`);
    else server.destination.checks = [its];
  }
}

/** Sets the times and counts of a check. */
function readTimes(
  check: CheckDraft,
  { ownOf, globalOf }: { readonly ownOf: Find; readonly globalOf: Find },
  fail: Fail,
): void {
  const set = (key: Parameters<typeof setNumber>[1], directive: Directive | undefined, otherwise: number) => {
    const number = directive ? wholeNumber(/\d+/.exec(directive.value)?.[0]) : otherwise;
    if (!setNumber(check, key, number)) fail(directive, `${directive?.key} is outside the bounds of a check`);
  };
  const isNegotiated = NEGOTIATED.includes(check.type);
  const timeouts = isNegotiated
    ? (['negotiatetimeout', 'checktimeout'] as const)
    : (['checktimeout', 'negotiatetimeout'] as const);
  const timeout = [...timeouts.map(ownOf), ...timeouts.map(globalOf)].find((each) => each !== undefined);
  set('timeout', timeout, isNegotiated ? DEFAULT_NEGOTIATE_TIMEOUT : DEFAULT_TIMEOUT);
  set('fall', ownOf('failurecount') ?? globalOf('failurecount'), 1);
  set('interval', intervalOf(ownOf, globalOf), DEFAULT_INTERVAL);
}

/** Several echoes within one check of ldirectord are several checks here. */
function readAttempts(check: CheckDraft, directive: Directive | undefined, fail: Fail): void {
  const attempts = directive ? (wholeNumber(directive.value) ?? 0) : 1;
  if (attempts > 1) check.retryInterval = ECHO_RETRY;
  if (!setNumber(check, 'fall', check.fall * attempts)) fail(directive, 'invalid checkcount');
}

/** Returns the check of one server, or why it has none. `command`: the words before the server's address and port. */
function serverCheck(
  common: CheckDraft,
  server: RealServer,
  command: readonly string[],
): CheckDraft | string {
  const check = { ...common };
  const { address, port: forwarded } = server.destination.destination;
  const isHttp = HTTP.includes(check.type);
  if (server.receive !== undefined && (isHttp || check.type === 'dns')) {
    const why = setRequest(check, server.request!, server.receive);
    if (why !== undefined) return why;
  }
  if (check.type === 'command') {
    const port = server.port === forwarded ? '$PORT' : String(server.port);
    check.command = [...command, isIPv6(address) ? '[$ADDRESS]' : '$ADDRESS', port];
    return check;
  }
  if (check.port !== undefined || check.type === 'ping') return check;
  // A check is made at the port that the file gives the real server, or at the usual one.
  const port = server.port === 0 ? (USUAL_PORTS[check.type] ?? 0) : server.port;
  if (port === forwarded && port !== 0) return check;
  return setNumber(check, 'port', port) ? check : 'the real server has no port to check';
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
function typeOf(draft: Draft, head: Directive, ownOf: Find): Check['type'] | undefined {
  const { service } = draft;
  const kind = ownOf('checktype');
  const isUdp = 'protocol' in service && service.protocol === 'udp';
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
      return isUdp ? 'ping' : 'tcp';
    case 'ping':
      return 'ping';
    case 'external':
    case 'external-perl':
      return 'command';
    case 'negotiate':
      if (name === 'http' || name === 'https' || name === 'dns' || name === 'smtp') return name;
      if (name === 'none') return undefined;
      (asked ?? report).leave(`the service ${name} is not supported: ${UNCHECKED}`);
      return undefined;
    default:
      report.leave(`checktype ${kind!.value} is not supported: ${UNCHECKED}`);
      return undefined;
  }
}

function readHttp(check: CheckDraft, ownOf: Find, fail: Fail): void {
  const [host, method] = ['virtualhost', 'httpmethod'].map(ownOf);
  check.status = [[200, 299]];
  check.redirects = LWP_REDIRECTS;
  if (check.type === 'https') check.verify = false;
  check.host = host ? unquoted(host.value) : '$ADDRESS';
  if (!/^[!-~]+$/.test(check.host)) fail(host, 'invalid virtualhost');
  if (method && method.value.toUpperCase() !== 'GET')
    fail(method, `the method ${method.value} is not supported`);
}

/** Sets the request and the pattern of servers that have none in their line. */
function readRequest(check: CheckDraft, servers: readonly RealServer[], ownOf: Find, fail: Fail): void {
  const [request, receive] = ['request', 'receive'].map(ownOf);
  if (servers.every((server) => server.receive !== undefined)) return;
  const why = setRequest(check, unquoted(request?.value ?? '/'), unquoted(receive?.value ?? ''));
  if (why !== undefined) fail(why.startsWith('invalid request') ? request : (receive ?? request), why);
}

/** Sets the path or the name, and the pattern; returns why they are invalid. */
function setRequest(check: CheckDraft, request: string, receive: string): string | undefined {
  if (check.type === 'dns') {
    const why = setQuery(check, request.replace(/^\//, ''));
    if (why !== undefined) return why;
    if (receive === '') return 'ldirectord finds no server up without a pattern for the address';
  } else if (request.includes('://') || !/^[!-~]+$/.test(request))
    return 'invalid request: expected a path without blanks';
  else check.path = `/${request.replace(/^\/+/, '')}`;
  const pattern = receive === '' ? undefined : translatePattern(receive);
  delete check.match;
  if (pattern && 'why' in pattern) return pattern.why;
  if (pattern) check.match = pattern.match;
  return undefined;
}

/** ldirectord queries the address of a name, or the name of an address. */
function setQuery(check: CheckDraft, request: string): string | undefined {
  check.record = isIPv4(request) ? 'PTR' : 'A';
  check.query = isIPv4(request) ? `${request.split('.').reverse().join('.')}.in-addr.arpa` : request;
  if (new RegExp(CHECK_KEYS.query.pattern).test(check.query)) return undefined;
  return 'invalid request: expected a host name or an IPv4 address';
}

/** Returns the program and the virtual service; the address and the port of the real server follow. No shell splits it. */
function readCommand({ service }: Draft, ownOf: Find, fail: Fail): readonly string[] {
  const command = ownOf('checkcommand');
  const program = unquoted(command?.value ?? '/bin/true');
  if (/\s/.test(program)) fail(command, 'ldirectord takes blanks for a part of the path of the program');
  const bracketed = (address: string) => (isIPv6(address) ? `[${address}]` : address);
  return 'mark' in service
    ? [program, String(service.mark), '0']
    : [program, bracketed(service.address), String(service.port)];
}

const unquoted = (value: string): string => value.replace(/^"(.*)".*$/, '$1');
