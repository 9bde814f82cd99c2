/** Reads the addresses and ports of data connections from commands and replies of FTP (RFC 959, RFC 2428). */
import { type Address, parseAddress } from '../wire/address.ts';

/** A data connection that one side has announced. */
export interface Announcement {
  /** Who waits for it: the client (PORT, EPRT) or the server (the replies 227 and 229). */
  readonly by: 'client' | 'server';
  /** Missing: that of the control connection (reply 229). */
  readonly address?: Address;
  readonly port: number;
}

const MAX_PORT = 65_535;
/** Protocol numbers of EPRT, as in RFC 2428 section 2. */
const EPRT_FAMILIES = { '1': 4, '2': 6 } as const;

/** Returns what a complete command announces; undefined: nothing, or it is not valid. */
export function ofCommand(line: string): Announcement | undefined {
  const [, verb, rest] = /^(PORT|EPRT) +(\S+) *$/i.exec(line) ?? [];
  if (verb === undefined) return undefined;
  return verb.toUpperCase() === 'PORT' ? ofNumbers('client', rest!) : ofExtended(rest!);
}

/** Reports whether the command asks the server for a port. */
export const asksForPort = (line: string): boolean => /^(?:PASV|EPSV(?: +[12])?) *$/i.test(line);

/** Returns what six numbers announce: the bytes of an IPv4 address, and of a port. */
export function ofNumbers(by: Announcement['by'], text: string): Announcement | undefined {
  const numbers = text.split(',');
  if (numbers.length !== 6 || !numbers.every((number) => /^\d{1,3}$/.test(number) && Number(number) <= 0xff))
    return undefined;
  const address = parseAddress(numbers.slice(0, 4).map(Number).join('.'));
  const port = Number(numbers[4]) * 0x100 + Number(numbers[5]);
  return address && port > 0 ? { by, address, port } : undefined;
}

/** Returns what the reply 229 announces: `|||port|`, with any character that is no digit for `|`. */
export function ofPort(text: string): Announcement | undefined {
  const [, , digits] = /^([!-/:-~])\1\1(\d{1,5})\1$/.exec(text) ?? [];
  const port = Number(digits);
  return port > 0 && port <= MAX_PORT ? { by: 'server', port } : undefined;
}

/** Returns what EPRT announces: `|family|address|port|`. */
function ofExtended(text: string): Announcement | undefined {
  const [, , family, host, digits] =
    /^([!-/;-~])([12])\1([0-9A-Fa-f:.]{2,45})\1(\d{1,5})\1$/.exec(text) ?? [];
  if (family === undefined) return undefined;
  const isSixth = host!.includes(':');
  const port = Number(digits);
  if (isSixth !== (EPRT_FAMILIES[family as '1' | '2'] === 6) || port === 0 || port > MAX_PORT)
    return undefined;
  const address = parseAddress(host!);
  return address && { by: 'client', address, port };
}
