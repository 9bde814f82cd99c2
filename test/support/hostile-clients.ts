/**
 * Opens hostile connections to a web server: clients that send nothing, never end a request, never read, or request
 * continuously. Prints `connected`, then the number of answers that were read within the given seconds.
 *
 *   node dist/test/support/hostile-clients.js 127.0.0.1 9112 3
 */
import { connect, type Socket } from 'node:net';

const [host = '127.0.0.1', port = '80', seconds = '3'] = process.argv.slice(2);
const CLIENTS_OF_EACH_KIND = 20;
const sockets = new Set<Socket>();
let answers = 0;

/** Opens a client that reconnects when it is disconnected. */
function client(send: (socket: Socket) => void, reads: boolean): void {
  const socket = connect(Number(port), host, () => send(socket));
  sockets.add(socket);
  if (reads)
    socket.on('data', (bytes) => (answers += bytes.toString('latin1').split('HTTP/1.1 200').length - 1));
  else socket.pause();
  socket.on('error', () => {});
  socket.once('close', () => {
    sockets.delete(socket);
    setTimeout(() => client(send, reads), 50);
  });
}

const request = (path: string) => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
const sendSlowly = (socket: Socket) => {
  socket.write('GET / HTTP/1.1\r\n');
  const timer = setInterval(() => socket.write('x: y\r\n'), 100);
  socket.once('close', () => clearInterval(timer));
};
const requestContinuously = (path: string) => (socket: Socket) => {
  const timer = setInterval(() => socket.write(request(path)), 5);
  socket.once('close', () => clearInterval(timer));
};

for (let i = 0; i < CLIENTS_OF_EACH_KIND; i++) {
  client(() => {}, true);
  client(sendSlowly, true);
  client((socket) => socket.write(request('/metrics').repeat(200)), false);
  client((socket) => socket.write(request('/api/v1/events')), false);
  client(requestContinuously(i % 2 === 0 ? '/metrics' : '/'), true);
}
process.stdout.write('connected\n');
setTimeout(() => {
  process.stdout.write(`${answers} answers\n`);
  process.exit(0);
}, Number(seconds) * 1000);
