/** Sends datagrams that the kernel merges (UDP_SEGMENT of udp(7)), as senders of QUIC do: SIZE bytes each, COUNT a call. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { allocate } from '../../src/sys/memory.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { succeeded } from '../../src/sys/system-call-error.ts';

const { values } = parseArgs({
  options: {
    to: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '7' },
    size: { type: 'string', default: '1200' },
    count: { type: 'string', default: '1' },
    calls: { type: 'string', default: '1' },
  },
});
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

const system = await loadSystem();
const socket = createSocket(values.to.includes(':') ? 'udp6' : 'udp4');
socket.connect(Number(values.port), values.to);
await once(socket, 'connect');
const option = allocate(system, 4);
option.view.setInt32(0, Number(values.size), true);
const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
succeeded('setsockopt(UDP_SEGMENT)', system.setsockopt(fd, SOL_UDP, UDP_SEGMENT, option.address, 4));
for (let call = 0; call < Number(values.calls); call++) {
  // Each datagram is filled with its number; the last one is a byte shorter.
  const data = Buffer.concat(
    Array.from({ length: Number(values.count) }, (_, i) => Buffer.alloc(Number(values.size), call * 64 + i)),
  ).subarray(0, -1);
  await new Promise<void>((resolve, reject) =>
    socket.send(data, (error) => (error ? reject(error) : resolve())),
  );
}
socket.close();
