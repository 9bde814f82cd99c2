/**
 * Clients of a cluster: opens a connection from each of the addresses at once, sends a request, and prints a line of JSON
 * with what each received: the server's name, or why none answered.
 *
 * With --hold the connections stay open, and a request follows every 100 ms; each line of the input is answered by a line
 * with the number of connections that are open, and of those that failed.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    to: { type: 'string' },
    port: { type: 'string', default: '80' },
    from: { type: 'string', multiple: true, default: [] },
    each: { type: 'string', default: '1' },
    timeout: { type: 'string', default: '20000' },
    hold: { type: 'boolean', default: false },
  },
});
const REPEAT_MS = 100;
/** ms without a response after which a held connection counts as failed. */
const SILENT_MS = 5000;

interface Client {
  answer: string;
  at: number;
}

const sources = values.from.flatMap((address) => Array.from({ length: Number(values.each) }, () => address));
const clients = sources.map((localAddress): { client: Client; ended: Promise<void> } => {
  const client: Client = { answer: '', at: performance.now() };
  const socket = connect({ host: values.to!, port: Number(values.port), localAddress });
  const request = () => void socket.write('GET / HTTP/1.1\r\nHost: cluster\r\n\r\n');
  const ended = new Promise<void>((resolve) => {
    socket.on('connect', request);
    socket.on('data', (data) => {
      const name = /real server #\d+/.exec(String(data))?.[0] ?? 'other';
      client.answer = client.answer === '' || client.answer === name ? name : 'moved';
      client.at = performance.now();
      if (!values.hold) socket.destroy();
    });
    socket.on('error', ({ message }) => {
      client.answer = message;
    });
    socket.on('close', () => {
      if (values.hold && /^real/.test(client.answer)) client.answer = 'closed';
      resolve();
    });
    if (!values.hold)
      socket.setTimeout(Number(values.timeout), () => {
        client.answer = 'timeout';
        socket.destroy();
      });
  });
  if (values.hold)
    setInterval(() => {
      if (/^real/.test(client.answer)) request();
    }, REPEAT_MS).unref();
  return { client, ended };
});

/** Counts of equal answers. */
function counts(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { client } of clients) {
    const isSilent = values.hold && performance.now() - client.at > SILENT_MS;
    const answer = isSilent ? 'silent' : client.answer;
    found[answer] = (found[answer] ?? 0) + 1;
  }
  return found;
}

if (values.hold)
  createInterface({ input: process.stdin })
    .on('line', () => process.stdout.write(`${JSON.stringify(counts())}\n`))
    .on('close', () => process.exit());
else {
  await Promise.all(clients.map(({ ended }) => ended));
  process.stdout.write(`${JSON.stringify(counts())}\n`);
}
