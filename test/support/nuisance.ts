/**
 * Clients that a web server could do without: silent ones, endless ones, ones that do not read, and ones that ask and
 * ask. Prints `annoying`, then how many answers were read, after so many seconds.
 *
 *   node dist/test/support/nuisance.js 127.0.0.1 9112 3
 */
import { connect, type Socket } from 'node:net';

const [host = '127.0.0.1', port = '80', seconds = '3'] = process.argv.slice(2);
const EACH = 20;
const sockets = new Set<Socket>();
let answers = 0;

/** Comes back when it is sent away. */
function client(say: (socket: Socket) => void, reads: boolean): void {
  const socket = connect(Number(port), host, () => say(socket));
  sockets.add(socket);
  if (reads)
    socket.on('data', (octets) => (answers += octets.toString('latin1').split('HTTP/1.1 200').length - 1));
  else socket.pause();
  socket.on('error', () => {});
  socket.once('close', () => {
    sockets.delete(socket);
    setTimeout(() => client(say, reads), 50);
  });
}

const ask = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
const drip = (socket: Socket) => {
  socket.write('GET / HTTP/1.1\r\n');
  const timer = setInterval(() => socket.write('x: y\r\n'), 100);
  socket.once('close', () => clearInterval(timer));
};
const again = (path: string) => (socket: Socket) => {
  const timer = setInterval(() => socket.write(ask(path)), 5);
  socket.once('close', () => clearInterval(timer));
};

for (let i = 0; i < EACH; i++) {
  client(() => {}, true);
  client(drip, true);
  client((socket) => socket.write(ask('/metrics').repeat(200)), false);
  client((socket) => socket.write(ask('/api/v1/events')), false);
  client(again(i % 2 === 0 ? '/metrics' : '/'), true);
}
process.stdout.write('annoying\n');
setTimeout(() => {
  process.stdout.write(`${answers} answers\n`);
  process.exit(0);
}, Number(seconds) * 1000);
