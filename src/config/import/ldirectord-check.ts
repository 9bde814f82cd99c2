/** How ldirectord(8) watches the real servers of a virtual service, as a check: what has no counterpart is left out by name. */
import type { Check } from '../../model/check.ts';
import { DEFAULT_CHECK } from '../document.ts';
import { type Draft, setNumber, wholeNumber } from './import-result.ts';

/** `key=value`, and how to say that it was not taken. */
export interface Directive {
  readonly key: string;
  readonly value: string;
  readonly leave: (why: string) => void;
}

const HTTP = 80;
const NUMBERS = {
  checktimeout: 'timeout',
  checkinterval: 'interval',
  checkcount: 'fall',
  failurecount: 'fall',
  checkport: 'port',
} as const;

/** `directives`: the service's after the `global` ones, the last of a key counts. undefined: the servers are not watched. */
export function ldirectordCheck(
  draft: Draft,
  directives: readonly Directive[],
  global: ReadonlySet<Directive>,
): Check | undefined {
  const of = new Map(directives.map((each) => [each.key, each]));
  const type = typeOf(draft, of);
  if (type === undefined) {
    for (const each of directives)
      if (!global.has(each) && each.key !== 'checktype' && each.key !== 'service')
        each.leave('the servers of this service are not watched');
    return undefined;
  }
  const check: { -readonly [K in keyof Check]: Check[K] } = { ...DEFAULT_CHECK, type };
  // The time of a negotiation counts before that of a connection.
  const isLater = ({ key }: Directive) => Number(key === 'negotiatetimeout');
  for (const each of directives.toSorted((a, b) => isLater(a) - isLater(b))) {
    const why = take(check, each, draft);
    if (why) each.leave(why);
  }
  const hasPorts = draft.destinations.every(({ destination }) => destination.port !== 0);
  if (check.port !== undefined || hasPorts) return check;
  of.get('checktype')?.leave('there is no checkport: the servers of this service are not watched');
  return undefined;
}

/** undefined: they are not watched, and why was told where something else was asked for. */
function typeOf({ service }: Draft, of: ReadonlyMap<string, Directive>): Check['type'] | undefined {
  const plain = 'protocol' in service && service.protocol === 'udp' ? 'udp' : 'tcp';
  const kind = of.get('checktype');
  const asked = of.get('service');
  switch (kind?.value ?? 'negotiate') {
    case 'connect':
      return plain;
    case 'external':
      if (!of.has('checkcommand')) kind?.leave('there is no checkcommand');
      return of.has('checkcommand') ? 'command' : undefined;
    case 'on':
      return undefined;
    case 'off':
      kind?.leave('off: ldirectord would not use these servers; here they are used, and not watched');
      return undefined;
    case 'negotiate':
      if (asked?.value === 'http' || (!asked && 'port' in service && service.port === HTTP)) return 'http';
      if (asked?.value === 'none') return undefined;
      asked?.leave(`only http is asked by its protocol here; a check of type ${plain} is made`);
      return plain;
    default:
      kind?.leave('this kind of check does not exist here: the servers of this service are not watched');
      return undefined;
  }
}

/** Takes one directive; returns why not, where it cannot. */
function take(
  check: { -readonly [K in keyof Check]: Check[K] },
  { key, value }: Directive,
  { service }: Draft,
): string | undefined {
  const plain = value.replace(/^"(.*)"$/, '$1');
  switch (key) {
    case 'checktype':
    case 'service':
      return undefined;
    case 'negotiatetimeout':
      if (check.type !== 'http') return undefined; // there is no such time then, neither there nor here
      return setNumber(check, 'timeout', wholeNumber(value)) ? undefined : 'expected 1 to 600';
    case 'checktimeout':
    case 'checkinterval':
    case 'checkcount':
    case 'failurecount':
    case 'checkport':
      return setNumber(check, NUMBERS[key], wholeNumber(value)) ? undefined : 'is out of bounds here';
    case 'request':
    case 'receive':
    case 'virtualhost':
      if (check.type !== 'http') return 'only http is asked for a page here';
      if (key === 'receive') check.expect = plain;
      else if (/^[!-~]+$/.test(plain)) {
        if (key === 'request') check.path = plain.startsWith('/') ? plain : `/${plain}`;
        else check.host = plain;
      } else return 'has characters that HTTP has no words for';
      return undefined;
    case 'httpmethod':
      return check.type === 'http' && value === 'GET' ? undefined : 'has no counterpart here';
    case 'checkcommand': {
      if (check.type !== 'command') return 'is for external checks';
      // It is called with the virtual service and the real server, addresses and ports.
      const virtual = 'mark' in service ? `${service.mark} 0` : `${service.address} ${service.port}`;
      check.command = ['/bin/sh', '-c', `exec ${plain} ${virtual} "$ADDRESS" "$PORT"`];
      return undefined;
    }
    default:
      return 'has no counterpart here';
  }
}
