/** Addresses, ports and numbers as ipvsadm prints them. */

import type { Protocol, ServiceAddress, ServiceOptions } from '../model/service.ts';
import { joinEndpoint } from '../wire/address.ts';
import type { Names } from './names.ts';
import { dotted } from './numbers.ts';

/** An endpoint's text ends here, bytes: ipvsadm's buffer for it. */
const LONGEST_ENDPOINT = 59;

/** Prints `address:port`, with names where it has some. */
export type EndpointText = (
  address: string,
  port: number,
  protocol: Protocol | undefined,
) => string | Promise<string>;

/** By number, or by name. Without a protocol a port is a number in any case. */
export function endpointText(numeric: boolean, names: Names): EndpointText {
  if (numeric) return joinEndpoint;
  return async (address, port, protocol) => {
    const host = (await names.hostName(address)) ?? address;
    const text = (protocol && port !== 0 ? names.portName(port, protocol) : undefined) ?? String(port);
    return (address.includes(':') ? `[${host}]:${text}` : `${host}:${text}`).slice(0, LONGEST_ENDPOINT);
  };
}

/** Returns a mark as the signed 32 bits that ipvsadm prints. */
export const markText = (mark: number): string => String(mark | 0);

/** Returns the protocol whose port names a service's destinations use. */
export const protocolOf = (service: ServiceAddress): Protocol | undefined =>
  'mark' in service ? undefined : service.protocol;

/** -M of a persistent service; undefined: all bits, and so nothing to print. */
export function maskText(options: ServiceOptions, family: 4 | 6): string | undefined {
  if (!options.persistent) return undefined;
  if (options.persistenceMask !== undefined) return options.persistenceMask;
  const bits = options.persistencePrefix;
  if (bits === undefined || bits === (family === 4 ? 32 : 128)) return undefined;
  return family === 6 ? String(bits) : dotted(bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0);
}

/** Sizes from which a number is printed in thousands and so on; what it is divided by; its suffix. */
const SCALES = [
  { from: 1e14, by: 1e12, suffix: 'T' },
  { from: 1e11, by: 1e9, suffix: 'G' },
  { from: 1e9, by: 1e6, suffix: 'M' },
  { from: 1e8, by: 1e3, suffix: 'K' },
];

/** Returns a column of --stats and --rate: nine wide with its gap. */
export function amountText(amount: number, exact: boolean): string {
  const scale = exact ? undefined : SCALES.find(({ from }) => amount >= from);
  const text = scale ? `${Math.floor(amount / scale.by)}${scale.suffix}` : amount.toFixed(0);
  return ` ${text.padStart(8)}`;
}
