/** A page is got over HTTP/1.1; its status and its text are what counts. */
import { request } from 'node:http';
import { isIPv6 } from 'node:net';
import { wordsOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

/** Octets of the answer that the expected text is looked for in. */
const MAX_BODY = 256 * 1024;
/** Statuses that are good where none is asked for. */
const LEAST = 200;
const MOST = 399;
/** Switching Protocols, RFC 9110 section 15.2.2. */
const SWITCHED = 101;

export const httpProbe: Probe = ({ address, port, virtual, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const fail = (message: string) => resolve({ healthy: false, message });
    const failed = (error: unknown) => fail(wordsOf(error, signal, check.timeout));
    const { path = '/', host = isIPv6(virtual) ? `[${virtual}]` : virtual, status, expect } = check;
    const asked = request(
      { host: address, port, path, headers: { host }, agent: false, signal },
      (answer) => {
        const code = answer.statusCode ?? 0;
        const good = status === undefined ? code >= LEAST && code <= MOST : code === status;
        const done = (observation: Observation) => {
          resolve(observation);
          asked.destroy();
        };
        answer.on('error', failed);
        if (!good)
          return done({
            healthy: false,
            message: `status ${code}${status === undefined ? '' : `, not ${status}`}`,
          });
        if (expect === undefined) return done({ healthy: true, message: `status ${code}` });
        let body = '';
        answer.setEncoding('utf8');
        answer.on('data', (text: string) => {
          body += text;
          if (body.includes(expect)) done({ healthy: true, message: `status ${code}, as expected` });
          else if (body.length > MAX_BODY) done(unexpected(code, expect));
        });
        answer.on('end', () => resolve(unexpected(code, expect)));
      },
    );
    // 101: the connection is not HTTP any more, and neither the answer nor an error comes.
    asked.on('upgrade', (_answer, socket) => {
      socket.destroy();
      if (status === SWITCHED && expect === undefined)
        resolve({ healthy: true, message: `status ${SWITCHED}` });
      else fail(`status ${SWITCHED}${status === undefined ? '' : `, not ${status}`}`);
    });
    asked.on('error', failed);
    asked.end();
  });

const unexpected = (code: number, expect: string): Observation => ({
  healthy: false,
  message: `status ${code}, but without '${expect}'`,
});
