/** Imports the virtual services of ldirectord.cf, as ldirectord 4.12 reads them. */
import { isIP } from 'node:net';
import type { DestinationOptions } from '../../model/destination.ts';
import { formatDestination } from '../../model/naming.ts';
import type { Protocol, ServiceAddress } from '../../model/service.ts';
import type { Names } from '../names.ts';
import { FLAG_BITS } from '../yaml/services.ts';
import { addressRange, MAX_RANGE } from './address-range.ts';
import {
  addDestination,
  addressOf,
  addSorryServer,
  type Draft,
  documentOf,
  familyOfService,
  granularity,
  hasConsequences,
  type ImportContext,
  type Imported,
  type LeftOut,
  markOf,
  newDraft,
  wholeNumber,
  whyNotService,
} from './import-result.ts';
import { type RealServer, readChecks } from './ldirectord-check.ts';
import { type Directive, parseLdirectord, type Virtual } from './ldirectord-lines.ts';

const METHODS = { gate: 'dr', masq: 'nat', ipip: 'tunnel' } as const;
const DEFAULT_SCHEDULER = 'wrr';
/** Global directives about checks and their consequences, which are read with each virtual service. */
const READ_GLOBALS = new Set([
  ...['checktimeout', 'negotiatetimeout', 'checkinterval', 'checkcount', 'failurecount', 'fork', 'quiescent'],
  ...['fallback', 'fallback6', 'fallbackcommand'],
]);
/** What the rules do not depend on. */
const NO_COUNTERPART = 'not supported';

export async function importLdirectord(text: string, context: ImportContext): Promise<Imported> {
  const leftOut: LeftOut[] = [];
  const { globals, virtuals } = parseLdirectord(text, (at, why) => leftOut.push({ ...at, why }));
  for (const each of globals) if (!READ_GLOBALS.has(each.key)) each.leave(NO_COUNTERPART);
  for (const each of globals) if (each.key === 'quiescent') checkQuiescent(each);
  const drafts: Draft[] = [];
  for (const each of virtuals) {
    const draft = await draftOf(each, globals, drafts, context);
    if (typeof draft === 'string') leaveWhole(each, draft);
    else drafts.push(draft);
  }
  return { document: documentOf(drafts), leftOut: leftOut.sort((a, b) => a.line - b.line) };
}

/** Leaves out a virtual service with all of its lines. */
function leaveWhole({ head, directives }: Virtual, why: string): void {
  head.leave(why);
  for (const each of directives) each.leave('its virtual service was left out');
}

function checkQuiescent({ value, leave }: Directive): void {
  if (value !== 'yes' && value !== 'no') leave('invalid quiescent: expected yes or no');
}

/** Returns a virtual service with its real servers and its check, or why it is left out. */
async function draftOf(
  { head, directives }: Virtual,
  globals: readonly Directive[],
  before: readonly Draft[],
  { names, schedulers }: ImportContext,
): Promise<Draft | string> {
  const service = await serviceOf(head, directives, names);
  if (typeof service === 'string') return service;
  const draft = newDraft(service, DEFAULT_SCHEDULER);
  const servers: RealServer[] = [];
  const rest: Directive[] = [];
  let fallback: Directive | undefined;
  // Flags belong to the scheduler, and a netmask to persistence, wherever they stand.
  for (const each of directives.toSorted((a, b) => orderOf(a) - orderOf(b))) {
    const option = OPTIONS[each.key];
    if (each.key === 'real' || each.key === 'real6') servers.push(...(await realServers(draft, each, names)));
    else if (option) {
      const why = option(draft, each.value);
      if (why !== undefined) each.leave(why);
    } else if (each.key === 'quiescent') checkQuiescent(each);
    else if (isCommand(each)) continue;
    else if (each.key === 'fallback' || each.key === 'fallback6') fallback = each;
    else rest.push(each);
  }
  const { scheduler = '' } = draft.options;
  if (!schedulers.includes(scheduler)) return `invalid scheduler '${scheduler}': ipvsadm refuses the service`;
  const why = whyNotService(draft, before);
  if (why !== undefined) return why;
  readChecks(draft, servers, { head, own: rest, globals });
  const isOff = directives.findLast(({ key }) => key === 'checktype')?.value === 'off';
  const own = familyOfService(service) === 6 ? 'fallback6' : 'fallback';
  const used = fallback ?? globals.findLast(({ key }) => key === own);
  if (used && !isOff) await readFallback(draft, used, names);
  const command = directives.findLast(isCommand) ?? globals.findLast(isCommand);
  if (command && !isOff) readFallbackCommand(draft, command);
  const isQuiescent = [...globals, ...directives].findLast(({ key }) => key === 'quiescent')?.value === 'yes';
  if (!isQuiescent && hasConsequences(draft)) for (const each of draft.destinations) each.inhibit = false;
  return draft;
}

const isCommand = ({ key }: Directive): boolean => key === 'fallbackcommand';

/** ldirectord passes a state and the virtual service to the program, by a shell. */
function readFallbackCommand(draft: Draft, { value, leave }: Directive): void {
  const words = value.replace(/^"(.*)"$/, '$1').split(/\s+/);
  const { service } = draft;
  if (!words.every((word) => /^[\w./:@%+=,-]+$/.test(word))) {
    leave('invalid fallbackcommand: expected a program and arguments without characters of a shell');
    return;
  }
  const virtual =
    'mark' in service ? [`${service.mark}:`, 'fwm'] : [formatDestination(service), service.protocol];
  draft.notify = {
    'service-down': [...words, 'start', ...virtual],
    'service-up': [...words, 'stop', ...virtual],
  };
}

/** Reads `host[:port] [gate|masq|ipip]`: a server that is used while no real server is. */
async function readFallback(draft: Draft, { key, value, leave }: Directive, names: Names): Promise<void> {
  const { service } = draft;
  const family = familyOfService(service);
  const [, host, portText, kind = 'gate'] =
    /^(\[[\da-fA-F:.]+\]|[\w.-]+)(?::([\w-]+))?(?:\s+(gate|masq|ipip))?\s*$/.exec(value) ?? [];
  if (host === undefined || (key === 'fallback6') !== (family === 6)) {
    leave(`invalid ${key}: expected an IPv${family} address[:port] [gate|masq|ipip]`);
    return;
  }
  const method = METHODS[kind as keyof typeof METHODS];
  const address = await resolve(host, family, names);
  const servicePort = 'port' in service ? service.port : 0;
  const protocol = 'protocol' in service ? service.protocol : 'tcp';
  const port =
    portText === undefined ? servicePort : (wholeNumber(portText) ?? names.port(portText, protocol));
  const forwarded = 'mark' in service || method === 'nat' ? port : servicePort;
  const why =
    address === undefined || forwarded === undefined
      ? `${value} does not resolve to an IPv${family} address and a port`
      : addSorryServer(draft, address, forwarded, { method, weight: 1 });
  if (why !== undefined) leave(why);
}

const orderOf = ({ key }: Directive): number => (['scheduler', 'persistent'].indexOf(key) === -1 ? 1 : 0);

/** Options of the service itself: each returns why it was left out, or undefined. */
const OPTIONS: Readonly<Record<string, ((draft: Draft, value: string) => string | undefined) | undefined>> = {
  protocol: () => undefined, // read by serviceOf
  scheduler({ options }, value) {
    options.scheduler = /[a-z]+/.exec(value)?.[0] ?? '';
    return undefined;
  },
  persistent({ options }, value) {
    const seconds = firstNumber(value);
    if (!seconds) return 'invalid persistent: expected seconds';
    options.persistent = seconds;
    return undefined;
  },
  netmask({ options, service }, value) {
    if (options.persistent === undefined) return 'a netmask requires a persistent service';
    const bits = granularity(value, service);
    if (bits === undefined)
      return 'invalid netmask: expected a dotted netmask (IPv4) or a prefix length (IPv6)';
    options.persistencePrefix = bits;
    return undefined;
  },
  ops({ options, service }, value) {
    if (value === 'no') return undefined;
    if (value !== 'yes') return 'invalid ops: expected yes or no';
    // ldirectord passes it on for UDP only.
    if (!('protocol' in service) || service.protocol !== 'udp') return 'ops requires the protocol udp';
    options.ops = true;
    return undefined;
  },
  schedflags({ options }, value) {
    const flags = value.split(',');
    const isFlag = (flag: string) =>
      Object.hasOwn(FLAG_BITS, flag) &&
      (flag.startsWith('flag-') || flag.startsWith(`${options.scheduler}-`));
    if (!flags.every(isFlag))
      return `invalid schedflags: expected flags of the scheduler ${options.scheduler}`;
    options.schedulerFlags = flags.reduce((bits, flag) => bits | FLAG_BITS[flag]!, 0);
    return undefined;
  },
};

/** ldirectord takes the first number of such a value. */
export const firstNumber = (value: string): number | undefined => wholeNumber(/\d+/.exec(value)?.[0]);

/**
 * Reads `[first->last]:port method [weight] ["request", "receive"] [l:N] [u:N]`, and adds its destinations. Without
 * a port it is 0; direct routing and tunnels have the port of the service, because ipvsadm gives them that.
 */
async function realServers(draft: Draft, { value, leave }: Directive, names: Names): Promise<RealServer[]> {
  const { service } = draft;
  const form =
    /^(\[[\da-fA-F:.]+\]|[\w.-]+?)(?:->(\[[\da-fA-F:.]+\]|[\w.-]+?))?(?::([\w-]+))?\s+(gate|masq|ipip)(?:\s+(\d+))?(?:\s+"(.*)"[, ]\s*"(.*)")?(?:\s+l:(\d+))?(?:\s+u:(\d+))?\s*$/.exec(
      value,
    );
  if (!form) {
    leave(
      'invalid real server: expected address[->address][:port] gate|masq|ipip [weight] ["request", "receive"] [l:N] [u:N]',
    );
    return [];
  }
  const [, first, last, portText = '0', method, weight = '1', request, receive, lower, upper] = form;
  const family = 'mark' in service ? service.family : (isIP(service.address) as 4 | 6);
  const [from, to] = await Promise.all([first!, last ?? first!].map((host) => resolve(host, family, names)));
  const port = wholeNumber(portText) ?? names.port(portText, 'tcp') ?? names.port(portText, 'udp');
  const addresses = from === undefined || to === undefined ? undefined : addressRange(from, to);
  if (addresses === undefined || port === undefined) {
    leave(
      from === undefined || to === undefined
        ? `${first} does not resolve to an IPv${family} address`
        : port === undefined
          ? `${portText} is not a service name`
          : `invalid range: expected at most ${MAX_RANGE} addresses`,
    );
    return [];
  }
  // It tests the request by another match, whose success clears the captures that it reads next (add_real_server).
  const isForgotten = request?.startsWith('/') === true;
  if (isForgotten) leave('ldirectord ignores a request that begins with /, and what follows it');
  const options: DestinationOptions = {
    method: METHODS[method as keyof typeof METHODS],
    weight: Number(weight),
    ...(!isForgotten && Number(upper ?? 0) > 0 && { upperThreshold: Number(upper) }),
    ...(!isForgotten && Number(lower ?? 0) > 0 && { lowerThreshold: Number(lower) }),
  };
  const isMapped = 'mark' in service || options.method === 'nat';
  return addresses.flatMap((address) => {
    const why = addDestination(draft, address, isMapped ? port : service.port, options);
    if (why !== undefined) leave(why);
    return why === undefined
      ? [
          {
            destination: draft.destinations.at(-1)!,
            port,
            ...(receive !== undefined && !isForgotten && { request, receive }),
            leave,
          },
        ]
      : [];
  });
}

/** Returns the address of a literal, which may be in brackets, or of a host name. */
async function resolve(host: string, family: 4 | 6, names: Names): Promise<string | undefined> {
  const literal = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(literal) !== 0) return isIP(literal) === family ? literal : undefined;
  return await names.host(literal, family);
}

/** Reads `address:port`, `host:service` or a firewall mark; returns why it is none. */
async function serviceOf(
  { key, value }: Directive,
  directives: readonly Directive[],
  names: Names,
): Promise<ServiceAddress | string> {
  const family = key === 'virtual6' ? 6 : 4;
  const [, host, portText] = /^(\[[\da-fA-F:.]+\]|[\w.+-]+):([\w-]+)/.exec(value) ?? [];
  const named = directives.findLast((each) => each.key === 'protocol')?.value;
  if (host === undefined) {
    const mark = markOf(/^\d+/.exec(value)?.[0]);
    if (mark === undefined) return 'invalid virtual service: expected address:port or a firewall mark';
    return named === undefined || named === 'fwm'
      ? { mark, family }
      : 'a firewall mark requires the protocol fwm';
  }
  const protocol = named ?? (portText === '53' || portText === 'domain' ? 'udp' : 'tcp');
  if (protocol !== 'tcp' && protocol !== 'udp') return 'invalid protocol: expected tcp or udp';
  const address = await resolve(host, family, names);
  if (address === undefined) return `${host} does not resolve to an IPv${family} address`;
  const port = wholeNumber(portText) ?? names.port(portText!, protocol as Protocol);
  const service = port === undefined ? undefined : addressOf(protocol, address, port);
  return service ?? `${portText} is not a port or a service name`;
}
