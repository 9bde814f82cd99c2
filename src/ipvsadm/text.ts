/** Formats addresses, ports and numbers like ipvsadm. */

import type { Protocol, ServiceAddress, ServiceOptions } from '../model/service.ts';
import { joinEndpoint } from '../wire/address.ts';
import type { Names } from './names.ts';
import { dotted } from './numbers.ts';

/** Bytes at which an endpoint's text is cut: the size of ipvsadm's buffer. */
const MAX_ENDPOINT_BYTES = 59;

/** Formats `address:port`, with names where they are known. */
export type EndpointText = (
  address: string,
  port: number,
  protocol: Protocol | undefined,
) => string | Promise<string>;

/** Returns a function for numbers or for names. Without a protocol, ports are always numeric. */
export function endpointText(numeric: boolean, names: Names): EndpointText {
  if (numeric) return joinEndpoint;
  return async (address, port, protocol) => {
    const host = (await names.hostName(address)) ?? address;
    const text = (protocol && port !== 0 ? names.portName(port, protocol) : undefined) ?? String(port);
    return (address.includes(':') ? `[${host}]:${text}` : `${host}:${text}`).slice(0, MAX_ENDPOINT_BYTES);
  };
}

/** Returns a mark as the signed 32 bits that ipvsadm prints. */
export const markText = (mark: number): string => String(mark | 0);

/** Returns the protocol for port names of a service's destinations. */
export const protocolOf = (service: ServiceAddress): Protocol | undefined =>
  'mark' in service ? undefined : service.protocol;

/** Returns -M of a persistent service; undefined: all bits, which is not printed. */
export function maskText(options: ServiceOptions, family: 4 | 6): string | undefined {
  if (!options.persistent) return undefined;
  if (options.persistenceMask !== undefined) return options.persistenceMask;
  const bits = options.persistencePrefix;
  if (bits === undefined || bits === (family === 4 ? 32 : 128)) return undefined;
  return family === 6 ? String(bits) : dotted(bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0);
}

/** Sizes from which a number is printed in thousands and so on; its divisor; its suffix. */
const SCALES = [
  { from: 1e14, by: 1e12, suffix: 'T' },
  { from: 1e11, by: 1e9, suffix: 'G' },
  { from: 1e9, by: 1e6, suffix: 'M' },
  { from: 1e8, by: 1e3, suffix: 'K' },
];

/** Returns a column of --stats and --rate: nine characters with its gap. */
export function amountText(amount: number, exact: boolean): string {
  const scale = exact ? undefined : SCALES.find(({ from }) => amount >= from);
  const text = scale ? `${Math.floor(amount / scale.by)}${scale.suffix}` : amount.toFixed(0);
  return ` ${text.padStart(8)}`;
}
