/** Reads the virtual_server blocks of keepalived.conf(5): services, real servers and their checks. */
import type { DestinationOptions } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';
import {
  addressOf,
  checkOf,
  type Draft,
  destinationOf,
  documentOf,
  granularity,
  type Imported,
  type LeftOut,
  newDraft,
  wholeNumber,
} from './imported.ts';

const METHODS: Readonly<Record<string, DestinationOptions['method']>> = {
  NAT: 'masq',
  DR: 'gatewaying',
  TUN: 'ipip',
};
const CHECKS: Readonly<Record<string, 'tcp' | 'http' | 'udp' | 'command'>> = {
  TCP_CHECK: 'tcp',
  HTTP_GET: 'http',
  UDP_CHECK: 'udp',
  MISC_CHECK: 'command',
};

/** A statement: its words, and the statements in its braces where it has some. */
interface Statement {
  readonly words: readonly string[];
  readonly line: number;
  readonly body?: readonly Statement[];
}

/** keepalived's default of persistence_timeout, seconds. */
const DEFAULT_PERSISTENCE = 360;

export function importKeepalived(text: string): Imported {
  const leftOut: LeftOut[] = [];
  const leave = ({ line, words }: Statement, why: string) => {
    const text = words.join(' ');
    // A block for a group is read once for each of its addresses.
    if (!leftOut.some((each) => each.line === line && each.text === text)) leftOut.push({ line, text, why });
  };
  const statements = parse(text, (line, why) => leftOut.push({ line, text: '', why }));
  const groups = new Map<string, readonly Statement[]>();
  for (const each of statements)
    if (each.words[0] === 'virtual_server_group') groups.set(each.words[1] ?? '', each.body ?? []);

  const drafts: Draft[] = [];
  for (const each of statements) {
    const [word, ...rest] = each.words;
    if (word === 'virtual_server_group') continue;
    if (word !== 'virtual_server') {
      leave(each, 'only virtual_server blocks are read');
      continue;
    }
    const protocol =
      each.body?.find(({ words }) => words[0] === 'protocol')?.words[1]?.toLowerCase() ?? 'tcp';
    const services = servicesOf(rest, protocol, groups);
    if (services.length === 0) leave(each, 'expected an address and a port, fwmark N, or group NAME');
    for (const service of services) {
      const draft = newDraft(service);
      readService(draft, each.body ?? [], leave);
      drafts.push(draft);
    }
  }
  return { document: documentOf(drafts), leftOut };
}

function servicesOf(
  words: readonly string[],
  protocol: string,
  groups: ReadonlyMap<string, readonly Statement[]>,
): ServiceAddress[] {
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') return [];
  const [first, second] = words;
  if (first === 'group')
    return (groups.get(second ?? '') ?? []).flatMap((each) => servicesOf(each.words, protocol, new Map()));
  if (first === 'fwmark') {
    const mark = wholeNumber(second);
    return mark ? [{ mark, family: 4 }] : [];
  }
  const service = first === undefined ? undefined : addressOf(protocol, first, second ?? 0);
  return service ? [service] : [];
}

function readService(
  draft: Draft,
  body: readonly Statement[],
  leave: (statement: Statement, why: string) => void,
): void {
  const kind =
    body.find(({ words }) => words[0] === 'lb_kind' || words[0] === 'lvs_method')?.words[1] ?? 'NAT';
  const method = METHODS[kind.toUpperCase()] ?? 'masq';
  for (const each of body) {
    const [word, value] = each.words;
    switch (word) {
      case 'lb_kind':
      case 'lvs_method':
        if (!METHODS[(value ?? '').toUpperCase()]) leave(each, 'expected NAT, DR or TUN');
        break;
      case 'protocol':
        break;
      case 'lb_algo':
      case 'lvs_sched':
        draft.options.scheduler = value ?? 'wlc';
        break;
      case 'persistence_timeout':
        draft.options.persistent = wholeNumber(value) ?? DEFAULT_PERSISTENCE;
        break;
      case 'persistence_granularity': {
        const bits = granularity(value ?? '');
        if (bits === undefined) leave(each, 'expected a netmask or a prefix');
        else draft.options.persistencePrefix = bits;
        break;
      }
      case 'persistence_engine':
        draft.options.engine = value ?? '';
        break;
      case 'ops':
        draft.options.ops = true;
        break;
      case 'delay_loop':
        checkOf(draft, 'tcp').interval = wholeNumber(value) ?? 60;
        break;
      case 'real_server':
        readServer(draft, each, method, leave);
        break;
      default:
        leave(each, 'has no counterpart here');
    }
  }
}

function readServer(
  draft: Draft,
  statement: Statement,
  method: DestinationOptions['method'],
  leave: (statement: Statement, why: string) => void,
): void {
  const [, host = '', port] = statement.words;
  const own = 'port' in draft.service ? draft.service.port : 0;
  const options: { -readonly [K in keyof DestinationOptions]: DestinationOptions[K] } = { method };
  for (const each of statement.body ?? []) {
    const [word = '', value] = each.words;
    const number = wholeNumber(value);
    if (word === 'weight' && number !== undefined) options.weight = number;
    else if (word === 'uthreshold' && number !== undefined) options.upperThreshold = number;
    else if (word === 'lthreshold' && number !== undefined) options.lowerThreshold = number;
    else if (word === 'inhibit_on_failure')
      continue; // what the director does anyway: a failed server is quiesced
    else if (Object.hasOwn(CHECKS, word)) readCheck(draft, each, CHECKS[word]!, leave);
    else leave(each, 'has no counterpart here');
  }
  const destination = destinationOf(host, port === undefined ? own : Number(port), options);
  if (destination) draft.destinations.push(destination);
  else leave(statement, 'expected an address and a port');
}

function readCheck(
  draft: Draft,
  statement: Statement,
  type: 'tcp' | 'http' | 'udp' | 'command',
  leave: (statement: Statement, why: string) => void,
): void {
  const check = checkOf(draft, type);
  check.type = type;
  for (const each of (statement.body ?? []).flatMap((one) =>
    one.words[0] === 'url' ? (one.body ?? []) : [one],
  )) {
    const [word, value] = each.words;
    const number = wholeNumber(value);
    if (word === 'connect_timeout' && number) check.timeout = number;
    else if (word === 'misc_timeout' && number) check.timeout = number;
    else if (word === 'connect_port' && number) check.port = number;
    else if (word === 'retry' && number !== undefined) check.fall = number + 1;
    else if (word === 'path' && value) check.path = value;
    else if (word === 'status_code' && number) check.status = number;
    else if (word === 'virtualhost' && value) check.host = value;
    else if (word === 'misc_path' && value) check.command = value.split(/\s+/);
    else leave(each, 'has no counterpart here');
  }
}

/** Statements a line, blocks in braces, # and ! comments, words in double quotes. Never throws. */
function parse(text: string, complain: (line: number, why: string) => void): Statement[] {
  const root: Statement[] = [];
  const open: { body: Statement[]; line: number }[] = [];
  const into = () => open.at(-1)?.body ?? root;
  for (const [i, raw] of text.split('\n').entries()) {
    const line = i + 1;
    const tokens = raw.match(/"[^"]*"|[{}]|[#!].*|[^\s{}"]+/g) ?? [];
    let words: string[] = [];
    const end = () => {
      if (words.length > 0) into().push({ words, line });
      words = [];
    };
    for (const token of tokens) {
      if (/^[#!]/.test(token)) break;
      if (token === '{') {
        end();
        const owner = into().pop() ?? { words: ['{'], line };
        const body: Statement[] = [];
        into().push({ ...owner, body });
        open.push({ body, line });
      } else if (token === '}') {
        end();
        if (!open.pop()) complain(line, 'a closing brace without its opening one');
      } else words.push(token.replace(/^"(.*)"$/, '$1'));
    }
    end();
  }
  for (const { line } of open) complain(line, 'this brace is never closed');
  return root;
}
