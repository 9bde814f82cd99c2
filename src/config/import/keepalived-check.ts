/**
 * Carries the checkers of keepalived's real servers over as the check of their service. A service has one check, so
 * they are carried over only where all real servers have the same, with `$ADDRESS` and `$PORT` for their own address
 * and port. A checker that cannot be carried over completely leaves the service without a check.
 */
import type { StatusRange } from '../../model/check.ts';
import { DEFAULT_CHECK, type DestinationDocument } from '../document.ts';
import { commonWords } from './check-template.ts';
import { type CheckDraft, secondsOf, setNumber, wholeNumber } from './import-result.ts';
import { type Leave, lastOf } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';
import { translatePattern } from './perl-pattern.ts';

/** A real server that was carried over as a destination. */
export interface WatchedServer {
  readonly statement: Statement;
  readonly destination: DestinationDocument;
  /** As the file has it, which is what its checkers connect to; 0 where it has none. */
  readonly port: number;
}

type Type = 'tcp' | 'http' | 'udp' | 'command';

/** Checkers that exist here too. */
const TYPES: Readonly<Record<string, Type>> = {
  TCP_CHECK: 'tcp',
  HTTP_GET: 'http',
  UDP_CHECK: 'udp',
  MISC_CHECK: 'command',
};
const UNCHECKED = 'the real servers of this service are not checked';
/** Seconds, as in keepalived.conf(5). */
const DEFAULT_LOOP = 60;
const DEFAULT_TIMEOUT = 5;
const DEFAULT_RETRY_DELAY: Readonly<Record<Type, number>> = { tcp: 1, http: 3, udp: 1, command: 1 };
const DEFAULT_RETRIES: Readonly<Record<Type, number>> = { tcp: 1, http: 1, udp: 1, command: 0 };
/** keepalived's default of status_code. */
const DEFAULT_STATUS: readonly StatusRange[] = [[200, 299]];

/** Keywords that change what is logged or when checks begin, but not what they find. */
const HARMLESS = new Set(['warmup', 'log_all_failures', 'fast_recovery', 'http_protocol']);
/** Keywords that the checker inherits from its real server and its virtual server. */
const INHERITED = new Set(['connect_timeout', 'retry', 'nb_get_retry', 'delay_before_retry', 'delay_loop']);

/** A checker of one server, with what it inherits. */
interface Checker {
  readonly server: WatchedServer;
  readonly statement: Statement;
  readonly check: CheckDraft;
  /** Of a MISC_CHECK. */
  readonly words: readonly string[];
}

/** Returns the check of a service; undefined if it has none, or if it is not supported: `leave` reports why. */
export function keepalivedCheck(
  body: readonly Statement[],
  servers: readonly WatchedServer[],
  leave: Leave,
): CheckDraft | undefined {
  const checkersOf = ({ statement }: WatchedServer) => (statement.body ?? []).filter((each) => each.body);
  if (servers.every((server) => checkersOf(server).length === 0)) return undefined;
  const checkers: Checker[] = [];
  let isComplete = true;
  const fail: Leave = (statement, why) => {
    isComplete = false;
    leave(statement, `${why}: ${UNCHECKED}`);
  };
  for (const server of servers) {
    const [one, ...others] = checkersOf(server);
    for (const each of others) fail(each, 'a real server has more than one checker');
    if (!one) fail(server.statement, 'this real server has no checker, unlike others of the service');
    else if (others.length === 0) {
      const checker = readChecker(one, server, body, fail, leave);
      if (checker) checkers.push(checker);
    }
  }
  if (!isComplete) return undefined;
  return commonCheck(checkers, fail);
}

/** Returns the one check that does what every checker does. */
function commonCheck(checkers: readonly Checker[], fail: Leave): CheckDraft | undefined {
  const [first, ...others] = checkers;
  const { check } = first!;
  const port = commonPort(checkers);
  const words = commonWords(
    checkers.map(({ words, server }) => ({ words, destination: server.destination })),
  );
  const text = ({ check: { port: _, ...rest } }: Checker) => JSON.stringify(rest);
  const other =
    others.find((each) => text(each) !== text(first!)) ??
    (port === undefined || !words ? (others[0] ?? first) : undefined);
  if (other) {
    fail(
      other.statement,
      `this checker differs from the one on line ${first!.statement.at.line}, and a service has one check`,
    );
    return undefined;
  }
  delete check.port;
  if (check.type === 'command') check.command = words!;
  else if (port !== 'own') {
    if (!setNumber(check, 'port', port)) fail(first!.statement, 'the checker has no port');
    if (check.port === undefined) return undefined;
  }
  return check;
}

/** 'own': every server is checked at its own port. undefined: at ports that one check cannot express. */
function commonPort(checkers: readonly Checker[]): number | 'own' | undefined {
  const portOf = ({ check, server }: Checker) => check.port ?? server.port;
  if (
    checkers.every((each) => portOf(each) !== 0 && portOf(each) === each.server.destination.destination.port)
  )
    return 'own';
  const [first, ...others] = checkers.map(portOf);
  return others.every((port) => port === first) ? first : undefined;
}

function readChecker(
  statement: Statement,
  server: WatchedServer,
  body: readonly Statement[],
  fail: Leave,
  leave: Leave,
): Checker | undefined {
  const word = statement.words[0]!;
  const type = Object.hasOwn(TYPES, word) ? TYPES[word]! : undefined;
  if (!type) {
    fail(statement, `${word} is not supported`);
    return undefined;
  }
  const levels = [body, server.statement.body ?? [], statement.body ?? []];
  const check: CheckDraft = { type, ...DEFAULT_CHECK, rise: 1 };
  const words: string[] = [];
  if (!readTimes(check, levels, fail, leave)) return undefined;
  if (type === 'http') {
    check.status = DEFAULT_STATUS;
    check.host = lastOf(levels.flat(), 'virtualhost')?.words[1] ?? '$ADDRESS:$PORT';
  }
  let isRead = true;
  const failHere: Leave = (at, why) => {
    isRead = false;
    fail(at, why);
  };
  for (const each of statement.body ?? []) {
    const [keyword = '', value = ''] = each.words;
    if (INHERITED.has(keyword)) continue;
    if (HARMLESS.has(keyword)) leave(each, 'not supported');
    else if (keyword === 'alpha') leave(each, 'a real server is used until its checks have failed');
    else if (keyword === 'connect_port') {
      if (!setNumber(check, 'port', wholeNumber(value))) failHere(each, 'invalid port');
    } else if (keyword === 'connect_ip') {
      if (value !== server.destination.destination.address)
        failHere(each, 'a check connects to the real server only');
    } else if (type === 'http' && keyword === 'url') readUrl(check, each, failHere, leave);
    else if (type === 'http' && keyword === 'virtualhost') continue;
    else if (type === 'command' && keyword === 'misc_path') {
      const [, single] = /^'([^']*)'$/.exec(each.words.slice(1).join(' ')) ?? [];
      const script = single ?? value;
      if (/\\|^[^']*'[^']*$/.test(script))
        failHere(each, 'a backslash or a single quote in a script is not supported');
      words.push(...scriptWords(script));
      if (single === undefined && each.words.length > 2)
        leave(each, 'keepalived runs the first word alone (quote the script with its arguments)');
    } else if (type === 'command' && keyword === 'misc_timeout') {
      if (!setNumber(check, 'timeout', secondsOf(value)))
        failHere(each, 'invalid misc_timeout: expected 0.1 to 600 seconds');
    } else failHere(each, `${keyword} is not supported`);
  }
  if (type === 'http' && (statement.body ?? []).filter(({ words }) => words[0] === 'url').length !== 1)
    failHere(statement, 'expected one url');
  if (type === 'command' && words.length === 0) failHere(statement, 'expected a misc_path');
  if (check.host !== undefined && !/^[!-~]+$/.test(check.host)) failHere(statement, 'invalid virtualhost');
  return isRead ? { server, statement, check, words } : undefined;
}

/** Sets interval, timeout, fall and retryInterval: of the checker, else of its real server, else of its virtual server. */
function readTimes(
  check: CheckDraft,
  levels: readonly (readonly Statement[])[],
  fail: Leave,
  leave: Leave,
): boolean {
  const type = check.type as Type;
  // Only a checker itself may have no retries.
  const noRetries = (at: Statement) => at.words[0] === 'retry' && wholeNumber(at.words[1]) === 0;
  const inherited = levels.slice(0, -1).flat();
  for (const each of inherited.filter(noRetries)) leave(each, 'invalid retry: expected 1 or more');
  const statements = [...inherited.filter((each) => !noRetries(each)), ...levels.at(-1)!];
  const find = (...keywords: string[]) => lastOf(statements, ...keywords);
  const [loop, timeout, delay] = [find('delay_loop'), find('connect_timeout'), find('delay_before_retry')];
  const retry = find('retry', 'nb_get_retry');
  const seconds = (statement: Statement | undefined, otherwise: number) =>
    statement ? secondsOf(statement.words[1]) : otherwise;
  const interval = seconds(loop, DEFAULT_LOOP);
  const retries = retry ? wholeNumber(retry.words[1]) : DEFAULT_RETRIES[type];
  const limit = type === 'command' ? interval : seconds(timeout, DEFAULT_TIMEOUT);
  let isRead = true;
  const set = (key: Parameters<typeof setNumber>[1], value: number | undefined, statement?: Statement) => {
    if (setNumber(check, key, value)) return;
    isRead = false;
    if (statement) fail(statement, `${statement.words.join(' ')} is outside the bounds of a check`);
  };
  set('interval', interval, loop);
  set('timeout', limit, type === 'command' ? loop : timeout);
  set('fall', (retries ?? Number.NaN) + 1, retry);
  const retryDelay = seconds(delay, DEFAULT_RETRY_DELAY[type]);
  if (retries !== 0 && retryDelay !== interval) set('retry-interval', retryDelay, delay);
  return isRead;
}

function readUrl(check: CheckDraft, url: Statement, fail: Leave, leave: Leave): void {
  const body = url.body ?? [];
  if (!lastOf(body, 'path')) fail(url, 'expected a path');
  for (const each of body) {
    const [keyword = '', value = '', ...more] = each.words;
    switch (keyword) {
      case 'path':
        if (more.length > 0 || !/^\/[!-~]*$/.test(value))
          fail(each, 'invalid path: expected /PATH without blanks');
        check.path = value;
        break;
      case 'virtualhost':
        check.host = value;
        break;
      case 'status_code': {
        const ranges = [value, ...more].map(statusRange);
        if (ranges.some((range) => range === undefined))
          fail(each, 'invalid status: expected 100 to 599, or ranges');
        check.status = ranges as StatusRange[];
        break;
      }
      case 'regex':
        readRegex(check, each, fail);
        break;
      case 'regex_stack':
        leave(each, 'not supported');
        break;
      default:
        fail(each, `${keyword} is not supported`);
    }
  }
}

/**
 * keepalived replaces the escapes of a quoted string before it compiles the expression, and matches the body within
 * the whole answer, so that anchors never match at its ends.
 */
function readRegex(check: CheckDraft, statement: Statement, fail: Leave): void {
  const value = unescaped(statement);
  const pattern = value === undefined ? undefined : translatePattern(value, { anchors: false });
  if (!pattern) fail(statement, 'the escapes of the regular expression are not supported');
  else if ('why' in pattern) fail(statement, pattern.why);
  else check.match = pattern.match;
}

/** Returns the value of a statement without its escapes, or undefined where it has escapes that are not read. */
function unescaped({ words: [, value = ''], at }: Statement): string | undefined {
  if (!value.includes('\\')) return value;
  const isQuoted = at.text.includes('"') && !at.text.includes('\\"');
  return isQuoted && !/\\[abEfnrtv\dxc]/.test(value.replace(/\\\\/g, ''))
    ? value.replace(/\\(.)/g, '$1')
    : undefined;
}

function statusRange(text: string): StatusRange | undefined {
  const [, first, last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text) ?? [];
  return first !== undefined && Number(first) <= Number(last) ? [Number(first), Number(last)] : undefined;
}

/** Splits a script into its words at blanks that are not between quotes. keepalived runs the words without a shell. */
function scriptWords(script: string): string[] {
  const found = script.match(/(?:'[^']*'|[^\s'])+/g) ?? [];
  return found.map((word) => word.replace(/'([^']*)'/g, '$1'));
}
