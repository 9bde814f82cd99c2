/**
 * An HTTP client with one connection: for each line of its standard input it sends a request on it, and prints the answer's
 * text. It ends with status 1 when the connection ends.
 *
 *   node dist/test/support/keepalive-client.js 192.168.0.101 80
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [host = '', port = ''] = process.argv.slice(2);
const socket = connect(Number(port), host, () => process.stdout.write('connected\n'));
socket.on('data', (octets) => process.stdout.write(octets));
socket.on('error', (error) => process.stdout.write(`${error.message}\n`));
socket.on('close', () => process.exit(1));
createInterface({ input: process.stdin }).on('line', () =>
  socket.write('GET / HTTP/1.1\r\nHost: vip\r\n\r\n'),
);
