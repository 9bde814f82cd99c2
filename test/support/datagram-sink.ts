/** Prints a line for each datagram that comes to a port: its length, and whether all its bytes are the same. */
import { createSocket } from 'node:dgram';

const [address = '0.0.0.0', port = '7'] = process.argv.slice(2);
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
socket.on('message', (data) => {
  const isUniform = data.every((byte) => byte === data[0]);
  process.stdout.write(`${data.length} bytes of ${isUniform ? data[0] : 'several datagrams'}\n`);
});
socket.bind(Number(port), address, () => process.stdout.write('ready\n'));
