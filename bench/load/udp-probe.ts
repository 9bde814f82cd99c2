/**
 * Sends requests to a UDP echo server at a steady rate, and prints as JSON what came back: `{"sent":1000,"lost":0,"p99":0.4}`,
 * round trips in ms.
 *
 *   node dist/bench/load/udp-probe.js --to 192.168.0.101 --port 7 --rate 5000 --seconds 10
 */
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    to: { type: 'string', default: '' },
    port: { type: 'string', default: '7' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '1' },
  },
});
/** How long an answer may take, ms. */
const ANSWER_MS = 2000;
/** ms between two bursts. */
const BURST_MS = 1;

const rate = Number(values.rate);
const total = Math.floor(rate * Number(values.seconds));
const times: number[] = [];
const sentAt = new Float64Array(total);
const socket = createSocket('udp4');
socket.on('message', (message) => times.push(performance.now() - sentAt[message.readUInt32BE(0)]!));
await new Promise<void>((resolve) => socket.connect(Number(values.port), values.to, resolve));
socket.setRecvBufferSize(4 * 1024 * 1024);
const start = performance.now();
for (let sent = 0; sent < total; ) {
  const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * rate));
  for (; sent < due; sent++) {
    const request = Buffer.alloc(64);
    request.writeUInt32BE(sent, 0);
    sentAt[sent] = performance.now();
    socket.send(request);
  }
  await sleep(BURST_MS);
}
await sleep(ANSWER_MS);
times.sort((a, b) => a - b);
const p99 = times[Math.floor(times.length * 0.99)] ?? 0;
process.stdout.write(`${JSON.stringify({ sent: total, lost: total - times.length, p99 })}\n`);
process.exit();
