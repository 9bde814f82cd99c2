/**
 * An HTTP client that counts what it loses. It holds connections and asks on each of them at intervals, and opens new ones at
 * a steady rate. For each line of its standard input it prints the counts since the last one, and those of all held connections
 * that ended and of all reasons; it waits until all that was asked before is answered or has failed. A held connection is lost
 * when it ends, or when no answer came for a while; a new one has failed when it is refused, reset or unanswered for a time.
 * `silent` is the longest time, in ms, for which new ones were not answered within 100 ms. The limit is 3 s, or the fifth argument in ms; the sixth one is the interval of requests.
 *
 *   node dist/test/support/steady-client.js 192.168.0.101 80 200 50
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const POLL_MS = 50;
const REQUEST = 'GET / HTTP/1.1\r\nHost: vip\r\n\r\n';

const [host = '', port = '', held = '', perSecond = '', limit = '3000', interval = '200'] =
  process.argv.slice(2);
const ANSWER_MS = Number(limit);
/** ms after which an attempt counts as silent. */
const SILENT_MS = 100;
const ASK_MS = Number(interval);
let lost = 0;
let answers = 0;
let opened = 0;
let failed = 0;
/** Starts of new connections, ms, with whether they were answered at once. */
let starts: { readonly at: number; isSilent: boolean }[] = [];
/** Why new connections failed. */
const reasons: Record<string, number> = {};
/** When each held connection was answered last, ms. */
const answered: number[] = [];
const ended = new Set<number>();
/** New connections that are neither answered nor failed. */
const pending = new Set<Socket>();

/** Holds a connection; resolves with its first answer. */
const hold = (index: number): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect(Number(port), host);
    const end = () => {
      if (!ended.has(index)) lost++;
      ended.add(index);
      resolve();
    };
    socket.on('connect', () => {
      socket.write(REQUEST);
      setInterval(() => socket.writable && socket.write(REQUEST), ASK_MS);
    });
    socket.on('data', () => {
      answers++;
      answered[index] = performance.now();
      resolve();
    });
    socket.on('error', end);
    socket.on('close', end);
  });

function open(): void {
  opened++;
  const socket = connect(Number(port), host);
  pending.add(socket);
  // An answer that waits for this process, which had no processor, is read before.
  const timer = setTimeout(
    () => setImmediate(() => setImmediate(() => isAnswered || socket.destroy(new Error('unanswered')))),
    ANSWER_MS,
  );
  let isAnswered = false;
  const start = { at: performance.now(), isSilent: false };
  starts.push(start);
  const late = setTimeout(() => {
    start.isSilent = true;
  }, SILENT_MS);
  socket.on('connect', () => socket.write(REQUEST));
  socket.on('data', () => {
    isAnswered = true;
    clearTimeout(late);
    pending.delete(socket);
    socket.end();
  });
  socket.on('error', ({ message }) => {
    reasons[message] = (reasons[message] ?? 0) + 1;
  });
  socket.on('close', () => {
    clearTimeout(timer);
    clearTimeout(late);
    if (!isAnswered) start.isSilent = true;
    pending.delete(socket);
    if (!isAnswered) failed++;
  });
}

/** Returns the longest time for which new connections were not answered at once, ms. */
function silence(): number {
  let longest = 0;
  let from: number | undefined;
  for (const { at, isSilent } of starts) {
    from = isSilent ? (from ?? at) : undefined;
    if (from !== undefined) longest = Math.max(longest, at - from + SILENT_MS);
  }
  return Math.round(longest);
}

await Promise.all(Array.from({ length: Number(held) }, (_, index) => hold(index)));
setInterval(open, 1000 / Number(perSecond));
process.stdout.write('ready\n');

createInterface({ input: process.stdin }).on('line', () => {
  const asked = performance.now();
  const before = [...pending];
  const waiting = () => answered.filter((at, index) => !ended.has(index) && at < asked).length;
  const timer = setInterval(() => {
    const isOver = performance.now() > asked + ANSWER_MS + ASK_MS;
    if (!isOver && (waiting() > 0 || before.some((socket) => pending.has(socket)))) return;
    clearInterval(timer);
    process.stdout.write(
      `${JSON.stringify({ lost: lost + waiting(), ended: ended.size, answers, opened, failed, reasons, silent: silence() })}\n`,
    );
    lost = 0;
    answers = 0;
    opened = 0;
    failed = 0;
    starts = [];
  }, POLL_MS);
});
