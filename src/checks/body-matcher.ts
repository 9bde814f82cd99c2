/** Matches bodies against regular expressions in a worker thread, so that a slow expression cannot stop the caller. */
import { Worker } from 'node:worker_threads';
import { parseBodyPattern } from '../model/body-pattern.ts';

/** Maximum time for a match, ms. */
const MATCH_MS = 2000;

/** The worker's program, as a string: it runs both from the sources and from the build. */
const WORKER = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', ({ source, flags, body }) => parentPort.postMessage(new RegExp(source, flags).test(body)));
`;

/** Started by the first match, and again after a match that was too slow. */
let worker: Worker | undefined;
/** The end of the queue: the worker has one body at a time. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Reports whether `body` matches the regular expression `pattern` (see parseBodyPattern). Rejects with a SyntaxError
 * if the pattern is invalid, and with an Error if the match takes more than MATCH_MS.
 */
export function matchesBody(pattern: string, body: string): Promise<boolean> {
  const answer = last.then(() => ask({ ...parseBodyPattern(pattern), body }));
  last = answer.catch(() => undefined);
  return answer;
}

function ask(question: { source: string; flags: string; body: string }): Promise<boolean> {
  worker ??= new Worker(WORKER, { eval: true });
  const asked = worker;
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer);
      asked.off('error', fail).off('message', answer);
      // An idle worker does not keep the process alive.
      asked.unref();
    };
    const fail = (error: Error) => {
      settle();
      worker = undefined;
      void asked.terminate();
      reject(error);
    };
    let isAnswered = false;
    const answer = (matches: boolean) => {
      isAnswered = true;
      settle();
      resolve(matches);
    };
    const slow = () => {
      if (!isAnswered) fail(new Error(`the regular expression took more than ${MATCH_MS} ms`));
    };
    // An answer that arrived while this thread was busy is read before the immediate runs.
    const timer = setTimeout(() => setImmediate(slow), MATCH_MS);
    asked.once('error', fail).once('message', answer);
    asked.ref();
    asked.postMessage(question);
  });
}
