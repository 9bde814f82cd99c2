/** Reads ldirectord.cf (ldirectord(8) 4.12): its virtual services, their real servers and their checks. */
import { isIP } from 'node:net';
import type { DestinationOptions } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';
import { parseAddress } from '../wire/address.ts';
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
import type { Names } from './names.ts';

const METHODS = { gate: 'gatewaying', masq: 'masq', ipip: 'ipip' } as const;

/** Most addresses of one range `first->last`. */
const MAX_RANGE = 1024;

export function importLdirectord(text: string, names: Names): Imported {
  const leftOut: LeftOut[] = [];
  const drafts: Draft[] = [];
  let defaults: Readonly<Record<string, string>> = {};
  let draft: Draft | undefined;

  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/^\s*#.*/, '').trimEnd();
    if (line.trim() === '') continue;
    const leave = (why: string) => leftOut.push({ line: i + 1, text: line.trim(), why });
    const found = /^(\s*)(\w+)\s*=\s*(.*)$/.exec(line);
    if (!found) {
      leave('not of the form key=value');
      continue;
    }
    const [, indent, key, value] = found as unknown as [string, string, string, string];
    if (indent === '') {
      draft = undefined;
      if (key === 'virtual' || key === 'virtual6') {
        const service = virtualOf(value, key === 'virtual6' ? 6 : 4, names);
        if (service) {
          draft = withDefaults(newDraft(service), defaults);
          drafts.push(draft);
        } else leave('expected address:port or a firewall mark');
      } else if (GLOBAL_CHECKS.has(key)) defaults = { ...defaults, [key]: value };
      else leave('has no counterpart here');
      continue;
    }
    if (!draft) leave('belongs to no virtual service that was read');
    else {
      const why = directive(draft, key, value, names);
      if (why) leave(why);
    }
  }
  return { document: documentOf(drafts), leftOut };
}

const GLOBAL_CHECKS = new Set(['checktimeout', 'checkinterval', 'checkcount', 'failurecount']);

function withDefaults(draft: Draft, defaults: Readonly<Record<string, string>>): Draft {
  for (const [key, value] of Object.entries(defaults)) timing(draft, key, value);
  return draft;
}

function timing(draft: Draft, key: string, value: string): string | undefined {
  const number = wholeNumber(value);
  if (number === undefined || number === 0) return 'expected a number';
  const check = checkOf(draft, 'tcp');
  if (key === 'checktimeout' || key === 'negotiatetimeout') check.timeout = number;
  else if (key === 'checkinterval') check.interval = number;
  else check.fall = number;
  return undefined;
}

/** Takes one line of a virtual service; returns why not, where it could not. */
function directive(draft: Draft, key: string, value: string, names: Names): string | undefined {
  const word = value.trim();
  const plain = word.replace(/^"(.*)"$/, '$1');
  switch (key) {
    case 'real':
    case 'real6':
      return realServers(draft, word, names);
    case 'scheduler':
      draft.options.scheduler = word;
      return undefined;
    case 'persistent':
      return take(wholeNumber(word), (seconds) => (draft.options.persistent = seconds), 'expected seconds');
    case 'netmask':
      return take(
        granularity(word),
        (bits) => (draft.options.persistencePrefix = bits),
        'expected a netmask',
      );
    case 'protocol':
      return protocol(draft, word);
    case 'ops':
      if (word === 'yes') draft.options.ops = true;
      return undefined;
    case 'checktype':
      return checkType(draft, word);
    case 'service':
      if (word === 'http') checkOf(draft, 'http').type = 'http';
      return word === 'http' || word === 'none' ? undefined : 'only http is checked by its protocol here';
    case 'checkport':
      return take(wholeNumber(word), (port) => (checkOf(draft, 'tcp').port = port), 'expected a port');
    case 'request':
      checkOf(draft, 'http').path = plain.startsWith('/') ? plain : `/${plain}`;
      return undefined;
    case 'receive':
      checkOf(draft, 'http').expect = plain;
      return undefined;
    case 'virtualhost':
      checkOf(draft, 'http').host = plain;
      return undefined;
    case 'checkcommand':
      Object.assign(checkOf(draft, 'command'), { type: 'command', command: plain.split(/\s+/) });
      return undefined;
    case 'checktimeout':
    case 'negotiatetimeout':
    case 'checkinterval':
    case 'checkcount':
    case 'failurecount':
      return timing(draft, key, word);
    default:
      return 'has no counterpart here';
  }
}

function take<T>(value: T | undefined, set: (value: T) => void, why: string): string | undefined {
  if (value === undefined) return why;
  set(value);
  return undefined;
}

function protocol(draft: Draft, word: string): string | undefined {
  if ('mark' in draft.service) return word === 'fwm' ? undefined : 'a firewall mark has no protocol';
  if (word !== 'tcp' && word !== 'udp') return 'expected tcp or udp';
  draft.service = { ...draft.service, protocol: word };
  return undefined;
}

function checkType(draft: Draft, word: string): string | undefined {
  if (word === 'connect') checkOf(draft, 'tcp').type = 'tcp';
  else if (word === 'external') checkOf(draft, 'command').type = 'command';
  else if (word === 'off' || word === 'on') delete draft.check;
  else if (word !== 'negotiate') return 'this kind of check does not exist here';
  return undefined;
}

/** `[first->last]:port method [weight] [l:N] [u:N] ["request", "receive"]` */
function realServers(draft: Draft, value: string, names: Names): string | undefined {
  const [target = '', method = '', ...rest] = value.split(/\s+/);
  const form = /^(?:\[([^\]]+)\]|([\d.]+)(?:->([\d.]+))?)(?::(\w+))?$/.exec(target);
  const forwarding = Object.hasOwn(METHODS, method) ? METHODS[method as keyof typeof METHODS] : undefined;
  if (!form || !forwarding) return 'expected address:port gate|masq|ipip [weight]';
  const [, six, four, last, portText] = form;
  const first = (six ?? four)!;
  const own = 'port' in draft.service ? draft.service.port : 0;
  const port = portText === undefined ? own : (wholeNumber(portText) ?? names.port(portText, 'tcp'));
  const addresses = rangeOf(first, last);
  if (port === undefined || addresses === undefined)
    return 'expected an address, or a range of at most 1024, and a port';
  const options: { -readonly [K in keyof DestinationOptions]: DestinationOptions[K] } = {
    method: forwarding,
  };
  for (const word of rest) {
    const bound = /^([ul]):(\d+)$/.exec(word);
    if (bound) options[bound[1] === 'u' ? 'upperThreshold' : 'lowerThreshold'] = Number(bound[2]);
    else if (/^\d+$/.test(word)) options.weight = Number(word);
    else
      return 'a request of its own for one real server has no counterpart here; the server was taken without';
  }
  for (const address of addresses) {
    const destination = destinationOf(address, port, options);
    if (destination) draft.destinations.push(destination);
  }
  return undefined;
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

function virtualOf(value: string, family: 4 | 6, names: Names): ServiceAddress | undefined {
  const word = value.trim();
  if (/^\d+$/.test(word)) return { mark: Number(word), family };
  const found = /^\[?([^\]]+?)\]?:(\w+)$/.exec(word);
  if (!found) return undefined;
  return addressOf('tcp', found[1]!, wholeNumber(found[2]) ?? names.port(found[2]!, 'tcp') ?? -1);
}
