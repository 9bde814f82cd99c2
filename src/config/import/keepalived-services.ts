/** Reads the services of a virtual_server of keepalived.conf(5): one address, one mark, or those of a group. */
import type { Protocol, ServiceAddress } from '../../model/service.ts';
import { familyOfText } from '../canonical-address.ts';
import { addressRange, MAX_RANGE, networkRange } from './address-range.ts';
import { addressOf, isPort, markOf, wholeNumber } from './import-result.ts';
import type { Statement } from './keepalived-statements.ts';

export type Leave = (statement: Statement, why: string) => void;
export type Groups = ReadonlyMap<string, readonly Statement[]>;

/** A service, and what keepalived then does with the ports of its real servers. */
export interface ServedAddress {
  readonly service: ServiceAddress;
  /** From a virtual_server_group. */
  readonly isGrouped: boolean;
}

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

/** The last statement of a keyword counts. */
export const lastOf = (body: readonly Statement[], ...keywords: string[]): Statement | undefined =>
  body.findLast(({ words }) => keywords.includes(words[0]!));

/** Returns the protocol of a virtual_server: UDP where it names none, or none that exists. */
export function protocolOf(body: readonly Statement[], leave: Leave): Protocol {
  let protocol: Protocol = 'udp';
  for (const each of body.filter(({ words }) => words[0] === 'protocol')) {
    const found = PROTOCOLS.find((name) => name === each.words[1]?.toLowerCase());
    if (found) protocol = found;
    else leave(each, 'invalid protocol: expected TCP, UDP or SCTP');
  }
  return protocol;
}

/** Returns the services of a virtual_server, which may be none; what is wrong is reported to `leave`. */
export function servicesOf(server: Statement, groups: Groups, leave: Leave): ServedAddress[] {
  const [, kind, name] = server.words;
  const body = server.body ?? [];
  if (kind !== 'group') {
    const services = servicesAt(server.words.slice(1), server, server, leave);
    return services.slice(0, 1).map((service) => ({ service, isGrouped: false }));
  }
  const entries = groups.get(name ?? '');
  if (!entries) leave(server, `no virtual_server_group of the name '${name ?? ''}'`);
  const families = new Set(realServerFamilies(body));
  return (entries ?? []).flatMap((entry) =>
    servicesAt(entry.words, entry, server, leave).flatMap((service) => {
      if ('mark' in service || families.size !== 1 || families.has(familyOfText(service.address) as 4 | 6))
        return [{ service, isGrouped: true }];
      if (isTunneled(body)) return [{ service, isGrouped: true }];
      leave(entry, 'the real servers are of another address family');
      return [];
    }),
  );
}

/** Reads `address [port]`, a range of addresses, or `fwmark N [family]`; `at` is the statement that has it. */
function servicesAt(
  words: readonly string[],
  at: Statement,
  server: Statement,
  leave: Leave,
): ServiceAddress[] {
  const [first = '', second] = words;
  const body = server.body ?? [];
  if (first === 'fwmark') {
    const mark = markOf(second);
    const family = words[2] === 'inet6' ? 6 : words[2] === 'inet' ? 4 : markFamily(body);
    const isInvalid = at !== server && words[2] !== undefined && !/^inet6?$/.test(words[2]);
    if (mark === undefined) leave(at, 'invalid firewall mark: expected 1 to 4294967295');
    else if (isInvalid) leave(at, 'invalid family: expected inet or inet6');
    return mark === undefined || isInvalid ? [] : [{ mark, family }];
  }
  const hosts = hostsOf(first, at !== server);
  const port = second === undefined ? 0 : (wholeNumber(second) ?? Number.NaN);
  const protocol = protocolOf(body, () => undefined);
  const services = (hosts ?? []).map((host) => addressOf(protocol, host, port));
  if (isPort(port) && services.length > 0 && services.every((each) => each !== undefined)) return services;
  leave(
    at,
    `expected an address and a port, fwmark N or group NAME${hosts ? '' : `, and ranges of at most ${MAX_RANGE}`}`,
  );
  return [];
}

/** Returns the address before `-` or `/`: of a range, virtual_server and real_server take no more (inet_stosockaddr). */
export const firstAddress = (text: string): string => text.replace(/[-/].*$/, '');

/** Returns the addresses of `a.b.c.d`, and for groups also of `a.b.c.d-e`, `first-last` and `address/prefix`. */
function hostsOf(text: string, isEntry: boolean): string[] | undefined {
  if (!isEntry) return familyOfText(firstAddress(text)) === 0 ? undefined : [firstAddress(text)];
  const [first = '', last, ...more] = text.split('-');
  if (more.length > 0) return undefined;
  const [, network, prefix] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (network !== undefined) return networkRange(network, Number(prefix));
  if (last === undefined) return familyOfText(first) === 0 ? undefined : [first];
  if (familyOfText(last) !== 0) return addressRange(first, last);
  // The end replaces the last part of the start: decimal in IPv4, hexadecimal in IPv6.
  return addressRange(first, first.replace(/[^.:]*$/, last));
}

const realServerFamilies = (body: readonly Statement[]): (4 | 6)[] =>
  body.flatMap(({ words: [word, host = ''] }) => {
    const family = word === 'real_server' || word === 'sorry_server' ? familyOfText(host) : 0;
    return family === 0 ? [] : [family];
  });

/** Reports whether every real server is reached through a tunnel. */
const isTunneled = (body: readonly Statement[]): boolean =>
  body
    .filter(({ words }) => words[0] === 'real_server')
    .every(
      (server) =>
        (lastOf(server.body ?? [], 'lvs_method', 'lb_kind') ?? lastOf(body, 'lvs_method', 'lb_kind'))
          ?.words[1] === 'TUN',
    );

/** The family of a mark is that of its real servers; where tunnels mix them, `ip_family`, or else IPv4. */
function markFamily(body: readonly Statement[]): 4 | 6 {
  const families = realServerFamilies(body);
  const isMixed = new Set(families).size > 1;
  const named = lastOf(body, 'ip_family')?.words[1];
  if (isTunneled(body) && (named !== undefined || isMixed)) return named === 'inet6' ? 6 : 4;
  return families[0] ?? 4;
}
