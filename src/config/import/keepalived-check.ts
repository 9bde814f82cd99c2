/** The checkers of keepalived's real servers as the one check that a service has here. */
import type { Check } from '../../model/check.ts';
import { DEFAULT_CHECK } from '../document.ts';
import { secondsOf, setNumber, wholeNumber } from './import-result.ts';
import type { Statement } from './keepalived-statements.ts';

type Leave = (statement: Statement, why: string) => void;
type Draft = { -readonly [K in keyof Check]: Check[K] };

const CHECKERS: Readonly<Record<string, Check['type']>> = {
  TCP_CHECK: 'tcp',
  HTTP_GET: 'http',
  UDP_CHECK: 'udp',
  MISC_CHECK: 'command',
};
/** Checkers of servers that a connection says something of, too. */
const BY_CONNECTION = new Set(['SSL_GET', 'SMTP_CHECK']);
/** Characters that a shell does more with than to pass them on. */
const FOR_A_SHELL = /["'\\$`;&|<>*?()~]/;

/** undefined: none of the servers is watched. What is not as it was is left out by name. */
export function keepalivedCheck(servers: readonly Statement[], leave: Leave): Draft | undefined {
  let first: { readonly check: Draft; readonly line: number } | undefined;
  const unwatched: Statement[] = [];
  for (const server of servers) {
    const checkers = (server.body ?? []).filter(({ body }) => body);
    const [one, ...others] = checkers.filter(({ words: [word = ''] }) => isChecker(word));
    for (const each of checkers) if (!isChecker(each.words[0] ?? '')) leave(each, 'has no counterpart here');
    for (const each of others) leave(each, 'a service has one check here, and this is another one');
    const check = one && read(one, leave);
    if (!check) {
      unwatched.push(server);
      continue;
    }
    if (!first) first = { check, line: one.line };
    else if (JSON.stringify(first.check) !== JSON.stringify(check))
      leave(one, `a service has one check here: this server is watched by that of line ${first.line}`);
  }
  if (first) for (const each of unwatched) leave(each, `is watched here, by the check of line ${first.line}`);
  return first?.check;
}

const isChecker = (word: string): boolean => Object.hasOwn(CHECKERS, word) || BY_CONNECTION.has(word);

function read(statement: Statement, leave: Leave): Draft | undefined {
  const word = statement.words[0]!;
  const check: Draft = { ...DEFAULT_CHECK, type: CHECKERS[word] ?? 'tcp' };
  if (BY_CONNECTION.has(word)) leave(statement, 'a connection is made instead');
  let pages = 0;
  for (const each of statement.body ?? []) {
    if (each.words[0] !== 'url') take(check, each, leave);
    else if (pages++ > 0) leave(each, 'one page is got');
    else for (const part of each.body ?? []) take(check, part, leave);
  }
  if (check.type === 'command' && !check.command) {
    leave(statement, 'has no misc_path');
    return undefined;
  }
  return check;
}

function take(check: Draft, statement: Statement, leave: Leave): void {
  const [word = '', value = '', ...more] = statement.words;
  if (!isTaken(check, word, value)) leave(statement, 'has no counterpart here');
  else if (more.length > 0) leave(statement, `what follows ${word} ${value} was not read`);
}

function isTaken(check: Draft, word: string, value: string): boolean {
  const isHttp = check.type === 'http';
  switch (word) {
    case 'connect_timeout':
    case 'misc_timeout':
      return setNumber(check, 'timeout', secondsOf(value));
    case 'connect_port':
      return setNumber(check, 'port', wholeNumber(value));
    case 'retry':
    case 'nb_get_retry':
      return setNumber(check, 'fall', (wholeNumber(value) ?? Number.NaN) + 1);
    case 'status_code':
      return isHttp && setNumber(check, 'status', wholeNumber(value));
    case 'path':
      if (!isHttp || !/^\/[!-~]*$/.test(value)) return false;
      check.path = value;
      return true;
    case 'virtualhost':
      if (!isHttp || !/^[!-~]+$/.test(value)) return false;
      check.host = value;
      return true;
    case 'misc_path':
      if (check.type !== 'command' || value === '') return false;
      check.command = FOR_A_SHELL.test(value) ? ['/bin/sh', '-c', value] : value.split(/\s+/);
      return true;
    default:
      return false;
  }
}
