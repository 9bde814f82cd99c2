/** Parses `host`, `host:port` and `[v6]:port` like ipvsadm, including its peculiarities. */
import { isIP } from 'node:net';
import type { Protocol } from '../model/service.ts';
import { formatAddress, parseAddress } from '../wire/address.ts';
import type { Names } from './names.ts';
import { dotted, parseInetAton, parseNumber } from './numbers.ts';

export interface Endpoint {
  readonly address: string;
  readonly family: 4 | 6;
  /** undefined: not given. */
  readonly port: number | undefined;
}

const MAX_PORT = 65535;

/**
 * Returns the address that `text` names; undefined where there is none. An IPv6 address in brackets needs a port, a bare one
 * has none; brackets around anything else hide the port that follows. Without a protocol ports have no names.
 */
export async function parseEndpoint(
  text: string,
  protocol: Protocol | undefined,
  names: Names,
): Promise<Endpoint | undefined> {
  if (/^\d+$/.test(text)) return undefined; // a port without a host
  let host = text;
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0 || text[close + 1] !== ':') return undefined;
    host = text.slice(1, close);
    if (isPlainIpv6(host)) {
      const port = parsePort(text.slice(close + 2), protocol, names);
      return port === undefined ? undefined : { ...ipv6(host), port };
    }
  } else if (isPlainIpv6(text)) {
    return { ...ipv6(text), port: undefined };
  }
  const colon = host.indexOf(':');
  const name = colon < 0 ? host : host.slice(0, colon);
  const address = await ipv4Of(name, names);
  if (address === undefined) return undefined;
  if (colon < 0) return { address, family: 4, port: undefined };
  const port = parsePort(host.slice(colon + 1), protocol, names);
  return port === undefined ? undefined : { address, family: 4, port };
}

const isPlainIpv6 = (text: string): boolean => isIP(text) === 6 && !text.includes('%');

/** Returns the RFC 5952 form; an IPv4-mapped address becomes the IPv4 address. */
function ipv6(text: string): Pick<Endpoint, 'address' | 'family'> {
  const address = formatAddress(parseAddress(text)!);
  return { address, family: address.includes(':') ? 6 : 4 };
}

async function ipv4Of(name: string, names: Names): Promise<string | undefined> {
  if (isIP(name) === 4) return name;
  const word = parseInetAton(name);
  return word === undefined ? await names.hostAddress(name) : dotted(word);
}

function parsePort(text: string, protocol: Protocol | undefined, names: Names): number | undefined {
  return parseNumber(text, 0, MAX_PORT) ?? (protocol && names.portNumber(text, protocol));
}
