/**
 * Carries the checkers of keepalived's real servers over as the checks of their destinations, with `$ADDRESS` and
 * `$PORT` for their own address and port. A checker that cannot be carried over completely is left out.
 */
import { type Check, RECORD_TYPES, type StatusRange, usesPort } from '../../model/check.ts';
import { CHECK_KEYS, MAX_CHECKS } from '../check-schema.ts';
import { DEFAULT_CHECK } from '../document.ts';
import { templateWords } from './check-template.ts';
import {
  type CheckDraft,
  type DestinationDraft,
  secondsOf,
  setNumber,
  wholeNumber,
} from './import-result.ts';
import { scriptOf, userOf } from './keepalived-script.ts';
import { type Leave, lastOf } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';
import { translatePattern } from './perl-pattern.ts';

/** A real server that was carried over as a destination. */
export interface WatchedServer {
  readonly statement: Statement;
  readonly destination: DestinationDraft;
  /** As the file has it, which is what its checkers connect to; 0 where it has none. */
  readonly port: number;
}

type Type = Exclude<Check['type'], 'agent'>;

/** Checkers that exist here too. */
const TYPES: Readonly<Record<string, Type>> = {
  TCP_CHECK: 'tcp',
  HTTP_GET: 'http',
  SSL_GET: 'https',
  UDP_CHECK: 'udp',
  DNS_CHECK: 'dns',
  SMTP_CHECK: 'smtp',
  PING_CHECK: 'ping',
  MISC_CHECK: 'command',
};
const UNCHECKED = 'this real server is not checked';
const OTHERS_REMAIN = 'this check is left out';
/** Seconds, as in keepalived.conf(5). */
const DEFAULT_LOOP = 60;
const DEFAULT_TIMEOUT = 5;
/** 'interval': the same as between other checks. */
const DEFAULT_RETRY_DELAY: Readonly<Record<Type, number | 'interval'>> = {
  ...{ tcp: 1, http: 3, https: 3, udp: 1, dns: 'interval', smtp: 1, ping: 1, command: 1 },
};
const DEFAULT_RETRIES: Readonly<Record<Type, number>> = {
  ...{ tcp: 1, http: 1, https: 1, udp: 1, dns: 3, smtp: 1, ping: 1, command: 0 },
};
/** keepalived's default of status_code. */
const DEFAULT_STATUS: readonly StatusRange[] = [[200, 299]];

/** The name by which keepalived introduces itself. */
const DEFAULT_HELO = 'smtpchecker.keepalived.org';

/** Keywords that change what is logged or when checks begin, but not what they find. */
const HARMLESS = new Set(['warmup', 'log_all_failures', 'fast_recovery', 'http_protocol']);
/** Keywords that the checker inherits from its real server and its virtual server. */
const INHERITED = new Set(['connect_timeout', 'retry', 'nb_get_retry', 'delay_before_retry', 'delay_loop']);

/** Gives the destinations of `servers` their checks; `leave` reports what is not carried over. */
export function readChecks(
  body: readonly Statement[],
  servers: readonly WatchedServer[],
  leave: Leave,
): void {
  for (const server of servers) {
    const tooMany = (at: Statement) =>
      leave(at, `a destination has at most ${MAX_CHECKS} checks: ${OTHERS_REMAIN}`);
    const statements = (server.statement.body ?? []).filter((each) => each.body);
    const parts = statements.flatMap((each) => onePage(each, tooMany));
    for (const each of parts.slice(MAX_CHECKS)) tooMany(each);
    const checks: CheckDraft[] = [];
    for (const each of parts.slice(0, MAX_CHECKS)) {
      const leaveOne: Leave = (at, why) =>
        leave(at, why.replace(UNCHECKED, parts.length > 1 ? OTHERS_REMAIN : UNCHECKED));
      const check = readChecker(each, server, body, leaveOne);
      if (check) checks.push(check);
    }
    if (checks.length > 0) server.destination.checks = checks;
  }
}

/** Returns a checker of several pages as checkers of one page each: all of them must pass as well. */
function onePage(statement: Statement, tooMany: (page: Statement) => void): Statement[] {
  const all = statement.body ?? [];
  const pages = all.filter(isUrl);
  if (pages.length < 2) return [statement];
  const others = all.filter((each) => !isUrl(each));
  for (const each of pages.slice(MAX_CHECKS)) tooMany(each);
  return pages.slice(0, MAX_CHECKS).map((page) => ({ ...statement, body: [...others, page] }));
}

const isUrl = ({ words }: Statement): boolean => words[0] === 'url';

function readChecker(
  statement: Statement,
  server: WatchedServer,
  body: readonly Statement[],
  leave: Leave,
): CheckDraft | undefined {
  let isRead = true;
  const fail: Leave = (at, why) => {
    isRead = false;
    leave(at, `${why}: ${UNCHECKED}`);
  };
  const word = statement.words[0]!;
  const type = Object.hasOwn(TYPES, word) ? TYPES[word]! : undefined;
  if (!type) {
    fail(statement, `${word} is not supported`);
    return undefined;
  }
  const isHttp = type === 'http' || type === 'https';
  const levels = [body, server.statement.body ?? [], statement.body ?? []];
  const check: CheckDraft = { type, ...DEFAULT_CHECK, rise: 1 };
  const words: string[] = [];
  if (!readTimes(check, levels, fail, leave)) return undefined;
  if (type === 'https') check.verify = false;
  if (type === 'smtp') check.helo = DEFAULT_HELO;
  if (isHttp) {
    check.status = DEFAULT_STATUS;
    check.host = lastOf(levels.flat(), 'virtualhost')?.words[1] ?? '$ADDRESS:$PORT';
  }
  for (const each of statement.body ?? []) {
    const [keyword = '', value = ''] = each.words;
    if (INHERITED.has(keyword) || (isHttp && keyword === 'virtualhost')) continue;
    if (HARMLESS.has(keyword)) leave(each, 'not supported');
    else if (keyword === 'alpha') leave(each, 'a real server is used until its checks have failed');
    else if (keyword === 'connect_port') {
      if (!setNumber(check, 'port', wholeNumber(value))) fail(each, 'invalid port');
    } else if (keyword === 'connect_ip') {
      if (value !== server.destination.destination.address)
        fail(each, 'a check connects to the real server only');
    } else if (!OWN[type]?.(check, each, { fail, leave, words })) fail(each, `${keyword} is not supported`);
  }
  if (isHttp && !(statement.body ?? []).some(isUrl)) fail(statement, 'expected a url');
  if (type === 'command' && words.length === 0) fail(statement, 'expected a misc_path');
  if (check.host !== undefined && !/^[!-~]+$/.test(check.host)) fail(statement, 'invalid virtualhost');
  if (type === 'command')
    takeWords(check, words, server, () => fail(statement, 'the script contains $ADDRESS or $PORT'));
  else if (usesPort(check)) setPort(check, server, () => fail(statement, 'the checker has no port'));
  return isRead ? check : undefined;
}

interface Reading {
  readonly fail: Leave;
  readonly leave: Leave;
  /** Of the script of a MISC_CHECK. */
  readonly words: string[];
}
/** Reads a statement of one type of checker; false: the type does not have it. */
type Reader = (check: CheckDraft, statement: Statement, reading: Reading) => boolean;

function readHttp(check: CheckDraft, each: Statement, { fail, leave }: Reading): boolean {
  // An https check always requests the name by SNI.
  if (each.words[0] === 'enable_sni') return check.type === 'https';
  if (each.words[0] !== 'url') return false;
  readUrl(check, each, fail, leave);
  return true;
}

function readScript(check: CheckDraft, each: Statement, { fail, leave, words }: Reading): boolean {
  const [keyword, value = ''] = each.words;
  if (keyword === 'misc_timeout') {
    if (!setNumber(check, 'timeout', secondsOf(value)))
      fail(each, 'invalid misc_timeout: expected 0.1 to 600 seconds');
    return true;
  }
  if (keyword === 'misc_dynamic') {
    check.dynamic = true;
    return true;
  }
  if (keyword === 'user') {
    const user = userOf(each);
    if (user === undefined) fail(each, 'invalid user: expected the names of a user and a group');
    else check.user = user;
    return true;
  }
  if (keyword !== 'misc_path') return false;
  words.push(...scriptOf(each, { fail, leave }));
  return true;
}

function readDns(check: CheckDraft, each: Statement, { fail, leave }: Reading): boolean {
  const [keyword, value = ''] = each.words;
  if (keyword === 'name') {
    if (!new RegExp(CHECK_KEYS.query.pattern).test(value)) fail(each, 'invalid name: expected a domain name');
    check.query = value;
    return true;
  }
  if (keyword !== 'type') return false;
  const record = RECORD_TYPES.find((each) => each === value.toUpperCase());
  if (record && record !== 'PTR' && record !== 'SRV') check.record = record;
  else leave(each, 'invalid type: SOA is used');
  return true;
}

function readSmtp(check: CheckDraft, each: Statement, { fail }: Reading): boolean {
  const [keyword, value = ''] = each.words;
  if (keyword !== 'helo_name') return false;
  if (!new RegExp(CHECK_KEYS.helo.pattern).test(value)) fail(each, 'invalid helo_name: expected a name');
  check.helo = value;
  return true;
}

/** Statements that only one type of checker has. */
const OWN: Readonly<Partial<Record<Type, Reader>>> = {
  http: readHttp,
  https: readHttp,
  command: readScript,
  dns: readDns,
  smtp: readSmtp,
};

function takeWords(
  check: CheckDraft,
  words: readonly string[],
  { destination }: WatchedServer,
  fail: () => void,
): void {
  const command = templateWords(words, destination);
  delete check.port;
  if (command) check.command = command;
  else fail();
}

/** The port is that of the checker, or of the real server in the file; it is named where the destination has another. */
function setPort(check: CheckDraft, { destination, port: own }: WatchedServer, fail: () => void): void {
  const port = check.port ?? own;
  delete check.port;
  if (port === destination.destination.port && port !== 0) return;
  if (!setNumber(check, 'port', port)) fail();
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
  const otherwise = DEFAULT_RETRY_DELAY[type];
  const retryDelay = delay || otherwise !== 'interval' ? seconds(delay, Number(otherwise)) : interval;
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
      case 'digest':
        if (new RegExp(CHECK_KEYS.digest.pattern).test(value)) check.digest = value.toLowerCase();
        else fail(each, 'invalid digest: expected 32 hexadecimal digits');
        break;
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
