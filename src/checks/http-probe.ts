/** The probe of http and https: requests a page over HTTP/1.1, and judges its status and its body. */
import { createHash } from 'node:crypto';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, isIPv6 } from 'node:net';
import type { Check } from '../model/check.ts';
import { matchesBody } from './body-matcher.ts';
import { failureOf } from './connect-errors.ts';
import type { Observation, Probe, Target } from './probe.ts';
import { expandVariables } from './target-variables.ts';

/** Maximum length of the body that is searched for the expected text, characters; the rest is not read. */
const MAX_BODY_CHARACTERS = 256 * 1024;
/** Maximum length of a body whose digest is computed, bytes: it is read completely. */
const MAX_DIGESTED_BYTES = 16 * 1024 * 1024;
/** Healthy statuses if the check names none. */
const DEFAULT_STATUS = [[200, 399]] as const;
/** Switching Protocols, RFC 9110 section 15.2.2. */
const SWITCHED = 101;
/** Statuses whose Location is requested next, RFC 9110 section 15.4. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const DEFAULT_PORTS = { 'http:': 80, 'https:': 443 } as const;

/** A page of the destination. */
interface Page {
  readonly protocol: keyof typeof DEFAULT_PORTS;
  readonly port: number;
  /** The Host header. */
  readonly host: string;
  readonly path: string;
}

export const httpProbe: Probe = async (target, signal) => {
  const { address, port, virtual, check } = target;
  const { host, path = '/', redirects = 0 } = check;
  let page: Page = {
    protocol: check.type === 'https' ? 'https:' : 'http:',
    port,
    host: host === undefined ? hostOf(virtual) : expandVariables(host, { address: hostOf(address), port }),
    path,
  };
  for (let followed = 0; ; followed++) {
    const answer = await ask(page, target, signal);
    if (!('location' in answer)) return answer;
    if (followed === redirects) return { healthy: false, message: `more than ${redirects} redirects` };
    const next = redirected(page, answer.location);
    if (!next)
      return { healthy: false, message: `redirect to ${answer.location}: expected an http or https URL` };
    page = next;
  }
};

/** Requests a page. Resolves with what it shows, or where it redirects to if the check follows redirects. */
function ask(
  { protocol, port, host, path }: Page,
  { address, check }: Target,
  signal: AbortSignal,
): Promise<Observation | { readonly location: string }> {
  return new Promise((resolve) => {
    const settle = (result: Observation | { readonly location: string }) => {
      signal.removeEventListener('abort', failed);
      resolve(result);
    };
    const failed = (error: unknown) => settle(failureOf(error, signal, check.timeout));
    const { redirects = 0, verify = true } = check;
    let isAnswered = false;
    const options = { host: address, port, path, headers: { host }, agent: false, signal } as const;
    const receive = (answer: IncomingMessage) => {
      const code = answer.statusCode ?? 0;
      const { location } = answer.headers;
      isAnswered = true;
      answer.on('error', () => {}); // judgeBody receives it from the iterator
      if (redirects > 0 && location !== undefined && REDIRECTS.has(code)) {
        settle({ location });
        asked.destroy();
        return;
      }
      const judged =
        isHealthy(code, check) && needsBody(check)
          ? judgeBody(answer, check)
          : Promise.resolve(judgeStatus(code, check));
      judged.then(settle, failed).finally(() => asked.destroy());
    };
    const asked =
      protocol === 'http:'
        ? requestHttp(options, receive)
        : requestHttps(
            { ...options, servername: check.sni ?? serverNameOf(host), rejectUnauthorized: verify },
            receive,
          );
    // After status 101 the connection is no longer HTTP: neither the response nor an error event follows.
    asked.on('upgrade', (_answer, socket) => {
      socket.destroy();
      const isJudged = check.status !== undefined && !needsBody(check);
      settle({ ...judgeStatus(SWITCHED, check), ...(!isJudged && { healthy: false }) });
    });
    asked.on('error', (error) => {
      if (!isAnswered) failed(error);
    });
    signal.addEventListener('abort', failed);
    asked.end();
  });
}

/**
 * Returns the page that a Location names (RFC 9110 section 10.2.2), at the same destination. Its port is the checked
 * one, because clients see the port of the service; that of the URL after a change between http and https. undefined:
 * the URL is invalid.
 */
function redirected({ protocol: before, port, host: from, path }: Page, location: string): Page | undefined {
  try {
    const { protocol, host, port: named, pathname, search } = new URL(location, `${before}//${from}${path}`);
    if (protocol !== 'http:' && protocol !== 'https:') return undefined;
    const other = named === '' ? DEFAULT_PORTS[protocol] : Number(named);
    return { protocol, port: protocol === before ? port : other, host, path: `${pathname}${search}` };
  } catch {
    return undefined;
  }
}

/** Returns the name that TLS requests for a Host header; addresses are no names (RFC 6066 section 3). */
function serverNameOf(host: string): string {
  const name = host.replace(/:\d+$/, '');
  return isIP(name) !== 0 || name.startsWith('[') ? '' : name;
}

const hostOf = (address: string): string => (isIPv6(address) ? `[${address}]` : address);

const needsBody = ({ expect, match, digest }: Check): boolean =>
  expect !== undefined || match !== undefined || digest !== undefined;

const isHealthy = (code: number, { status = DEFAULT_STATUS }: Check): boolean =>
  status.some(([first, last]) => code >= first && code <= last);

function judgeStatus(code: number, check: Check): Observation {
  const wanted = check.status
    ?.map(([first, last]) => (first === last ? first : `${first}-${last}`))
    .join(', ');
  const healthy = isHealthy(code, check);
  return { healthy, message: `status ${code}${healthy || wanted === undefined ? '' : `, not ${wanted}`}` };
}

/** Reads at most MAX_BODY_CHARACTERS of the body, and no more than the expected text needs; for a digest, the whole body. */
async function judgeBody(answer: IncomingMessage, check: Check): Promise<Observation> {
  const { expect = '', match, digest } = check;
  const code = answer.statusCode!;
  let body = '';
  let bytes = 0;
  const hash = digest === undefined ? undefined : createHash('md5');
  const decoder = new TextDecoder();
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash?.update(chunk);
    if (body.length <= MAX_BODY_CHARACTERS) body += decoder.decode(chunk, { stream: true });
    const isFound = body.length > MAX_BODY_CHARACTERS || (match === undefined && body.includes(expect));
    if (hash ? bytes > MAX_DIGESTED_BYTES : isFound) break;
  }
  if (hash && bytes > MAX_DIGESTED_BYTES)
    return {
      healthy: false,
      message: `status ${code}, but the body has more than ${MAX_DIGESTED_BYTES} bytes`,
    };
  const found = hash?.digest('hex');
  if (found !== digest)
    return { healthy: false, message: `status ${code}, but the MD5 of the body is ${found}, not ${digest}` };
  if (!body.includes(expect))
    return { healthy: false, message: `status ${code}, but the body does not contain '${expect}'` };
  if (match !== undefined && !(await matchesBody(match, body.slice(0, MAX_BODY_CHARACTERS))))
    return { healthy: false, message: `status ${code}, but the body does not match '${match}'` };
  return { healthy: true, message: `status ${code}, as expected` };
}
