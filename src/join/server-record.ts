/** The value of a server's key in etcd: its announcement as JSON. Anything may be there: what is no announcement is undefined. */
import { isName } from '../model/entity-name.ts';
import type { Protocol, ServiceAddress } from '../model/service.ts';
import { formatAddress, isV4, parseAddress } from '../wire/address.ts';
import { MAX_PLACES, MAX_WEIGHT } from './heartbeat-codec.ts';
import { type Announcement, type Place, SERVER_STATES } from './member.ts';

const VERSION = 1;
/** Maximum length of a value, bytes: 200 places of IPv6 have 40 KB. */
const MAX_BYTES = 64 << 10;
const MAX_PORT = 0xffff;
const MAX_MARK = 0xffff_ffff;
const RUN = /^[0-9a-f]{16}$/;
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

type Fields = Readonly<Record<string, unknown>>;

export const serverRecord = ({ node, run, state, places }: Announcement): string =>
  JSON.stringify({ version: VERSION, node, run, state, places });

/** Returns the announcement of a value; undefined: it is none, or exceeds a limit. */
export function serverRecordOf(value: Buffer): Announcement | undefined {
  if (value.length > MAX_BYTES) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString('utf8'));
  } catch {
    return undefined;
  }
  const { version, node, run, state: word, places } = fieldsOf(parsed);
  const state = SERVER_STATES.find((each) => each === word);
  if (version !== VERSION || typeof node !== 'string' || !isName(node) || !state) return undefined;
  if (typeof run !== 'string' || !RUN.test(run)) return undefined;
  if (!Array.isArray(places) || places.length > MAX_PLACES) return undefined;
  const read = places.map(placeOf);
  return read.every((each) => each !== undefined) ? { node, run, state, places: read } : undefined;
}

function placeOf(value: unknown): Place | undefined {
  const fields = fieldsOf(value);
  const service = serviceOf(fieldsOf(fields['service']));
  const destination = endOf(fieldsOf(fields['destination']));
  const { weight } = fields;
  return service && destination && isWhole(weight, MAX_WEIGHT) ? { service, destination, weight } : undefined;
}

function serviceOf(fields: Fields): ServiceAddress | undefined {
  const { mark, family } = fields;
  if (mark !== undefined)
    return isWhole(mark, MAX_MARK) && (family === 4 || family === 6) ? { mark, family } : undefined;
  const protocol = PROTOCOLS.find((each) => each === fields['protocol']);
  const end = endOf(fields);
  return protocol && end && { protocol, ...end };
}

function endOf({ address: text, port }: Fields): { address: string; port: number } | undefined {
  const address = typeof text === 'string' ? parseAddress(text) : undefined;
  // An IPv4-mapped address would be shown, and compared, as one of IPv4.
  if (!address || !isWhole(port, MAX_PORT) || (isV4(address) && String(text).includes(':'))) return undefined;
  return { address: formatAddress(address), port };
}

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};

const isWhole = (value: unknown, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
