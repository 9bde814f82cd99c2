/**
 * A real server's programs: HTTP that answers "I am real server #1", a banner as on the telnet port, UDP echo.
 *
 *   node dist/test/support/server.js --name 'real server #1' --http 80 --banner 23 --echo 7 --address 192.168.0.101
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { parseArgs } from 'node:util';
import { content } from './content.ts';

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'a real server' },
    http: { type: 'string' },
    banner: { type: 'string' },
    echo: { type: 'string' },
    /** Where UDP echo binds, as often as given: behind dr and tunnel the VIP, or replies leave from elsewhere. */
    address: { type: 'string', multiple: true, default: ['0.0.0.0'] },
  },
});

const greeting = `I am ${values.name}\n`;

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://server');
  if (request.method === 'PUT' || request.method === 'POST') {
    const hash = createHash('sha256');
    request.on('data', (octets: Buffer) => hash.update(octets));
    request.on('end', () => response.end(`${hash.digest('hex')}\n`));
  } else if (url.pathname === '/big') {
    const octets = Number(url.searchParams.get('octets'));
    response.setHeader('content-length', octets);
    content(octets).pipe(response);
  } else response.end(greeting);
}

const said: Promise<unknown>[] = [];
const listening = (what: string, start: (done: () => void) => void) =>
  said.push(
    new Promise<void>((resolve) => start(resolve)).then(() => process.stdout.write(`listening: ${what}\n`)),
  );

const { http, banner, echo } = values;
if (http !== undefined)
  listening(`http ${http}`, (done) =>
    createServer({ keepAliveTimeout: 0 }, answer).listen(Number(http), '::', done),
  );
if (banner !== undefined)
  listening(`banner ${banner}`, (done) =>
    createTcpServer((socket) => socket.on('error', () => {}).end(greeting)).listen(
      Number(banner),
      '::',
      done,
    ),
  );
if (echo !== undefined)
  for (const address of values.address)
    listening(`echo ${address} ${echo}`, (done) => {
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      socket.on('message', (message, from) => socket.send(message, from.port, from.address));
      socket.bind(Number(echo), address, done);
    });
await Promise.all(said);
process.stdout.write('ready\n');
