/** The http probe: requests a page over HTTP/1.1 and judges its status and its body. */
import { type IncomingMessage, request } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Check } from '../model/check.ts';
import { matchesBody } from './body-matcher.ts';
import { failureOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';
import { expandVariables } from './target-variables.ts';

/** Maximum length of the body that is searched for the expected text, characters; the rest is not read. */
const MAX_BODY_CHARACTERS = 256 * 1024;
/** Healthy statuses if the check names none. */
const DEFAULT_STATUS = [[200, 399]] as const;
/** Switching Protocols, RFC 9110 section 15.2.2. */
const SWITCHED = 101;

export const httpProbe: Probe = ({ address, port, virtual, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const failed = (error: unknown) => resolve(failureOf(error, signal, check.timeout));
    const { path = '/', expect, match } = check;
    let isAnswered = false;
    const host =
      check.host === undefined
        ? hostOf(virtual)
        : expandVariables(check.host, { address: hostOf(address), port });
    const asked = request(
      { host: address, port, path, headers: { host }, agent: false, signal },
      (answer) => {
        const code = answer.statusCode ?? 0;
        isAnswered = true;
        answer.on('error', () => {}); // judgeBody receives it from the iterator
        const judged =
          isHealthy(code, check) && (expect !== undefined || match !== undefined)
            ? judgeBody(answer, check)
            : Promise.resolve(judgeStatus(code, check));
        judged.then(resolve, failed).finally(() => asked.destroy());
      },
    );
    // After status 101 the connection is no longer HTTP: neither the response nor an error event follows.
    asked.on('upgrade', (_answer, socket) => {
      socket.destroy();
      const isJudged = check.status !== undefined && expect === undefined && match === undefined;
      resolve({ ...judgeStatus(SWITCHED, check), ...(!isJudged && { healthy: false }) });
    });
    asked.on('error', (error) => {
      if (!isAnswered) failed(error);
    });
    signal.addEventListener('abort', failed, { once: true });
    asked.end();
  });

const hostOf = (address: string): string => (isIPv6(address) ? `[${address}]` : address);

const isHealthy = (code: number, { status = DEFAULT_STATUS }: Check): boolean =>
  status.some(([first, last]) => code >= first && code <= last);

function judgeStatus(code: number, check: Check): Observation {
  const wanted = check.status
    ?.map(([first, last]) => (first === last ? first : `${first}-${last}`))
    .join(', ');
  const healthy = isHealthy(code, check);
  return { healthy, message: `status ${code}${healthy || wanted === undefined ? '' : `, not ${wanted}`}` };
}

/** Reads at most MAX_BODY_CHARACTERS of the body, and no more than the expected text needs. */
async function judgeBody(answer: IncomingMessage, { expect = '', match }: Check): Promise<Observation> {
  const code = answer.statusCode!;
  let body = '';
  answer.setEncoding('utf8');
  for await (const text of answer) {
    body += text as string;
    if (body.length > MAX_BODY_CHARACTERS || (match === undefined && body.includes(expect))) break;
  }
  if (!body.includes(expect))
    return { healthy: false, message: `status ${code}, but the body does not contain '${expect}'` };
  if (match !== undefined && !(await matchesBody(match, body.slice(0, MAX_BODY_CHARACTERS))))
    return { healthy: false, message: `status ${code}, but the body does not match '${match}'` };
  return { healthy: true, message: `status ${code}, as expected` };
}
