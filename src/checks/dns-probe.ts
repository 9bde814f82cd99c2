/** The dns probe: sends a query to the server, and judges the response code and the records. */
import { NODATA, Resolver } from 'node:dns';
import { isIPv6 } from 'node:net';
import type { Check } from '../model/check.ts';
import { matchesBody } from './body-matcher.ts';
import { failureOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

/** The root and its SOA record: every name server answers this query, as keepalived's DNS_CHECK. */
const DEFAULT_QUERY = '.';
const DEFAULT_RECORD = 'SOA';
/** Maximum number of records of a response that are compared. */
const MAX_RECORDS = 100;

/** Response codes (RFC 1035 section 4.1.1) by the names that c-ares gives them. */
const RESPONSE_CODES: Readonly<Record<string, string>> = {
  EFORMERR: 'FORMERR',
  ESERVFAIL: 'SERVFAIL',
  ENOTFOUND: 'NXDOMAIN',
  ENOTIMP: 'NOTIMP',
  EREFUSED: 'REFUSED',
  EBADRESP: 'invalid response',
};

export const dnsProbe: Probe = async ({ address, port, check }, signal) => {
  const { query = DEFAULT_QUERY, record = DEFAULT_RECORD, timeout } = check;
  const resolver = new Resolver({ timeout: timeout * 1000, tries: 1 });
  resolver.setServers([isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`]);
  const late = () => resolver.cancel();
  signal.addEventListener('abort', late, { once: true });
  const answer = await new Promise<readonly string[] | Observation>((resolve) =>
    resolver.resolve(query, record, (error, records) => {
      signal.removeEventListener('abort', late);
      // The name exists, and has no record of this type.
      if (error?.code === NODATA) resolve([]);
      else if (error) resolve(failed(error, signal, check));
      else resolve((Array.isArray(records) ? records : [records]).map(textOf));
    }),
  );
  return 'healthy' in answer ? answer : await judge(answer, check);
};

function failed(error: NodeJS.ErrnoException, signal: AbortSignal, { timeout }: Check): Observation {
  const { code = '' } = error;
  if (code === 'ETIMEOUT' || code === 'ECANCELLED')
    return { healthy: false, message: `no answer in ${timeout} s` };
  const message = RESPONSE_CODES[code];
  return message === undefined ? failureOf(error, signal, timeout) : { healthy: false, message };
}

/** Returns a record as text: the fields in their order, separated by blanks. */
const textOf = (record: unknown): string =>
  typeof record === 'object' && record !== null ? Object.values(record).join(' ') : String(record);

async function judge(records: readonly string[], { expect, match }: Check): Promise<Observation> {
  const message = `answered with ${records.length} record${records.length === 1 ? '' : 's'}`;
  const compared = records.slice(0, MAX_RECORDS);
  if (expect !== undefined && !compared.some((each) => each.includes(expect)))
    return { healthy: false, message: `${message}, but none contains '${expect}'` };
  if (match === undefined) return { healthy: true, message };
  for (const each of compared) if (await matchesBody(match, each)) return { healthy: true, message };
  return { healthy: false, message: `${message}, but none matches '${match}'` };
}
