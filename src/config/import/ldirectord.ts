/** Reads ldirectord.cf (ldirectord(8) 4.12): its virtual services, their real servers and their checks. */
import { isIP } from 'node:net';
import type { DestinationOptions } from '../../model/destination.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { parseAddress } from '../../wire/address.ts';
import type { Names } from '../names.ts';
import { FLAG_BITS } from '../yaml/services.ts';
import {
  addDestination,
  addressOf,
  type Draft,
  documentOf,
  granularity,
  type ImportContext,
  type Imported,
  type LeftOut,
  markOf,
  newDraft,
  wholeNumber,
  whyNotService,
} from './import-result.ts';
import { type Directive, ldirectordCheck } from './ldirectord-check.ts';

const METHODS = { gate: 'dr', masq: 'nat', ipip: 'tunnel' } as const;

/** Most addresses of one range `first->last`. */
const MAX_RANGE = 1024;

/** A virtual service's own line, and those that are indented under it. */
interface Virtual {
  readonly head: Directive;
  readonly directives: Directive[];
}

export function importLdirectord(text: string, context: ImportContext): Imported {
  const leftOut: LeftOut[] = [];
  const defaults: Directive[] = [];
  const virtuals: Virtual[] = [];
  let virtual: Virtual | undefined;

  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trimEnd();
    if (line.trim() === '') continue;
    const leave = (why: string) => leftOut.push({ line: i + 1, text: raw.trim(), why });
    const found = /^(\s*)([\w-]+)\s*=\s*(.*)$/.exec(line);
    if (!found) {
      leave('not of the form key=value');
      continue;
    }
    const [, indent, key, value] = found as unknown as [string, string, string, string];
    const directive: Directive = { key, value: value.trim(), leave };
    if (indent !== '') {
      if (virtual) virtual.directives.push(directive);
      else leave('belongs to no virtual service');
    } else if (key === 'virtual' || key === 'virtual6') {
      virtual = { head: directive, directives: [] };
      virtuals.push(virtual);
    } else {
      virtual = undefined;
      if (GLOBAL.has(key)) defaults.push(directive);
      else if (!(key === 'quiescent' && directive.value === 'yes')) leave('has no counterpart here');
    }
  }
  const drafts: Draft[] = [];
  for (const each of virtuals) {
    const draft = draftOf(each, defaults, context);
    const why = draft ? whyNotService(draft, drafts) : 'expected address:port or a firewall mark';
    if (draft && why === undefined) drafts.push(draft);
    else leaveWhole(each, why!);
  }
  return { document: documentOf(drafts), leftOut: leftOut.sort((a, b) => a.line - b.line) };
}

const GLOBAL = new Set(['checktimeout', 'negotiatetimeout', 'checkinterval', 'checkcount', 'failurecount']);

/** A service that cannot be taken leaves out its lines with it. */
function leaveWhole({ head, directives }: Virtual, why: string): void {
  head.leave(why);
  for (const each of directives) each.leave('belongs to a virtual service that was left out');
}

/** undefined: it has no address; nothing was left out then. */
function draftOf(
  { head, directives }: Virtual,
  defaults: readonly Directive[],
  { names, schedulers }: ImportContext,
): Draft | undefined {
  const protocol = directives.find(({ key }) => key === 'protocol')?.value === 'udp' ? 'udp' : 'tcp';
  const service = virtualOf(head, protocol, names);
  if (!service) return undefined;
  const draft = newDraft(service);
  const rest: Directive[] = [];
  const isScheduler = ({ key }: Directive) => Number(key === 'scheduler');
  for (const each of directives.toSorted((a, b) => isScheduler(b) - isScheduler(a))) {
    const take = OPTIONS[each.key];
    if (each.key === 'real' || each.key === 'real6') realServers(draft, each, names);
    else if (each.key === 'scheduler') {
      if (schedulers.includes(each.value)) draft.options.scheduler = each.value;
      else each.leave('there is no such scheduler; wlc is taken');
    } else if (take) {
      const why = take(draft, each.value);
      if (why) each.leave(why);
    } else if (!(each.key === 'quiescent' && each.value === 'yes')) rest.push(each);
  }
  const check = ldirectordCheck(draft, [...defaults, ...rest], new Set(defaults));
  if (check) draft.check = check;
  return draft;
}

/** Directives of a service itself; each takes a value, or returns why it cannot. */
const OPTIONS: Readonly<Record<string, (draft: Draft, value: string) => string | undefined>> = {
  persistent: ({ options }, value) => {
    const seconds = wholeNumber(value);
    if (!seconds) return 'expected seconds';
    options.persistent = seconds;
    return undefined;
  },
  netmask: ({ options, service }, value) => {
    const bits = granularity(value, service);
    if (bits === undefined) return 'expected a netmask';
    options.persistencePrefix = bits;
    return undefined;
  },
  protocol: ({ service }, value) => {
    if ('mark' in service) return value === 'fwm' ? undefined : 'a firewall mark has no protocol';
    return value === service.protocol ? undefined : 'expected tcp or udp';
  },
  ops: ({ options, service }, value) => {
    if (value !== 'yes') return value === 'no' ? undefined : 'expected yes or no';
    if ('protocol' in service && service.protocol !== 'udp') return 'for UDP and firewall marks only';
    options.ops = true;
    return undefined;
  },
  schedflags: ({ options }, value) => {
    const flags = value.split(',');
    const isFlag = (flag: string) =>
      Object.hasOwn(FLAG_BITS, flag) && /^(\w+)-/.exec(flag)![1] === options.scheduler;
    if (!flags.every(isFlag)) return `expected flags of the scheduler ${options.scheduler}`;
    options.schedulerFlags = flags.reduce((bits, flag) => bits | FLAG_BITS[flag]!, 0);
    return undefined;
  },
};

/** `[first->last]:port method [weight] [l:N] [u:N] ["request", "receive"]` */
function realServers(draft: Draft, { value, leave }: Directive, names: Names): void {
  const [target = '', method = '', ...rest] = value.split(/\s+/);
  const form = /^(?:\[([^\]]+)\]|([\d.]+)(?:->([\d.]+))?)(?::([\w-]+))?$/.exec(target);
  const forwarding = Object.hasOwn(METHODS, method) ? METHODS[method as keyof typeof METHODS] : undefined;
  if (!form || !forwarding) {
    leave('expected address:port gate|masq|ipip [weight]');
    return;
  }
  const [, six, four, last, portText] = form;
  const { service } = draft;
  const own = 'port' in service ? service.port : 0;
  const protocol = 'protocol' in service ? service.protocol : 'tcp';
  const port = portText === undefined ? own : (wholeNumber(portText) ?? names.port(portText, protocol));
  const addresses = rangeOf((six ?? four)!, last);
  if (port === undefined || addresses === undefined) {
    leave('expected an address, or a range of at most 1024, and a port');
    return;
  }
  const options: { -readonly [K in keyof DestinationOptions]: DestinationOptions[K] } = {
    method: forwarding,
  };
  const unread = rest.filter((word) => {
    const bound = /^([ul]):(\d{1,9})$/.exec(word);
    if (bound) options[bound[1] === 'u' ? 'upperThreshold' : 'lowerThreshold'] = Number(bound[2]);
    else if (wholeNumber(word) !== undefined) options.weight = Number(word);
    else return true;
    return false;
  });
  if (unread.length > 0)
    leave('a request of its own for one real server has no counterpart here; the server was taken without');
  for (const address of addresses) {
    const why = addDestination(draft, address, port, options);
    if (why) leave(why);
  }
}

/** The addresses first..last, IPv4; one address where there is no last. */
function rangeOf(first: string, last: string | undefined): string[] | undefined {
  if (isIP(first) === 0) return undefined;
  if (last === undefined) return [first];
  const [from, to] = [parseAddress(first), parseAddress(last)];
  if (!from || !to || isIP(first) !== 4 || isIP(last) !== 4) return undefined;
  const count = to[3]! - from[3]! + 1;
  if (count < 1 || count > MAX_RANGE) return undefined;
  const octets = (word: number) =>
    [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.');
  return Array.from({ length: count }, (_, i) => octets(from[3]! + i));
}

function virtualOf(
  { key, value }: Directive,
  protocol: 'tcp' | 'udp',
  names: Names,
): ServiceAddress | undefined {
  const family = key === 'virtual6' ? 6 : 4;
  const mark = markOf(value);
  if (mark) return { mark, family };
  const found = /^\[?([^\]]+?)\]?:([\w-]+)$/.exec(value);
  if (!found) return undefined;
  return addressOf(protocol, found[1]!, wholeNumber(found[2]) ?? names.port(found[2]!, protocol) ?? -1);
}
