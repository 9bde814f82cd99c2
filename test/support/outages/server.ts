/**
 * Runs a controlled server on its host. It reads changes of its answers as lines of JSON, and prints `changed` after each.
 *
 *   node dist/test/support/outages/server.js web1
 */
import { createInterface } from 'node:readline';
import { ControlledServer } from './controlled-server.ts';

const [name = ''] = process.argv.slice(2);
const print = (line: string) => process.stdout.write(`${line}\n`);
const server = new ControlledServer(name, '');
await server.change({ isOn: true });
print('ready');
for await (const line of createInterface({ input: process.stdin })) {
  await server.change(JSON.parse(line));
  print('changed');
}
