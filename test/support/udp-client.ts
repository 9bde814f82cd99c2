/** Sends datagrams to a UDP echo, each when the last one came back, and prints the number that came back unchanged. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    to: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '7' },
    octets: { type: 'string', default: '64' },
    count: { type: 'string', default: '1' },
  },
});
/** ms after which a datagram is lost. */
const PATIENCE = 2_000;

let right = 0;
for (let i = 0; i < Number(values.count); i++) {
  // A separate port for each: the director creates a connection for it.
  const socket = createSocket(values.to.includes(':') ? 'udp6' : 'udp4');
  const sent = randomBytes(Number(values.octets));
  socket.connect(Number(values.port), values.to);
  await once(socket, 'connect');
  socket.send(sent);
  try {
    const [back] = (await once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE) })) as [Buffer];
    if (back.equals(sent)) right++;
  } catch {
    // Lost, or refused.
  }
  socket.close();
}
process.stdout.write(`${right} of ${values.count}\n`);
