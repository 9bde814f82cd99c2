/**
 * New connections to a cluster, one every few milliseconds, from each of the addresses in turn. For each line of the input it
 * waits until all that were opened before have been answered or have failed, and prints a line of JSON: how many were opened
 * since the last one, and those that failed or were answered late, each with the time of its start (ms since 1970), its
 * address, and its reason or its ms. A first packet that no server accepts is sent again after a second.
 *
 *   node dist/test/support/cluster-stream.js --to 192.168.0.101 --from 192.168.0.20 --every 10
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    to: { type: 'string' },
    port: { type: 'string', default: '80' },
    from: { type: 'string', multiple: true, default: [] },
    every: { type: 'string', default: '20' },
    late: { type: 'string', default: '60000' },
    limit: { type: 'string', default: '60000' },
  },
});
const late = Number(values.late);

type Failure = readonly [at: number, from: string, result: string | number];

let next = 0;
let opened = 0;
let failures: Failure[] = [];
const pending = new Set<Promise<void>>();

function open(): void {
  const localAddress = values.from[next++ % values.from.length]!;
  opened++;
  const at = Date.now();
  const socket = connect({ host: values.to!, port: Number(values.port), localAddress });
  socket.setTimeout(Number(values.limit), () => socket.destroy(new Error('unanswered')));
  let isAnswered = false;
  const ended = new Promise<void>((resolve) => {
    socket.on('connect', () => socket.write('GET / HTTP/1.1\r\nHost: cluster\r\n\r\n'));
    socket.on('data', () => {
      const ms = Date.now() - at;
      if (!isAnswered && ms > late) failures.push([at, localAddress, ms]);
      isAnswered = true;
      socket.destroy();
    });
    socket.on('error', ({ message }) => failures.push([at, localAddress, message]));
    socket.on('close', () => resolve());
  });
  pending.add(ended);
  void ended.then(() => pending.delete(ended));
}

setInterval(open, Number(values.every));
createInterface({ input: process.stdin })
  .on('line', () => {
    const [count, before] = [opened, failures.length];
    void Promise.all(pending).then(() => {
      process.stdout.write(
        `${JSON.stringify({ opened: count, failures: failures.slice(0, Math.max(before, failures.length)) })}\n`,
      );
      opened -= count;
      failures = [];
    });
  })
  .on('close', () => process.exit());
