/**
 * An FTP client that keeps its control connection. For each line of its standard input, the name of a file, it prints the file
 * after its name, or why it has none; it fetches passively, from the address that the server announces.
 *
 *   node dist/test/support/ftp-client.js 192.168.0.101
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

const [host = ''] = process.argv.slice(2);
const control = connect(21, host);
const fail = ({ message }: Error) => {
  process.stdout.write(`failed: ${message}\n`);
  process.exit(1);
};
control.on('error', fail);
const replies = createInterface({ input: control });
const waiting: ((line: string) => void)[] = [];
// The last line of a reply has a blank behind its code (RFC 959, 4.2).
replies.on('line', (line) => /^\d{3} /.test(line) && waiting.shift()?.(line));
replies.on('close', () => fail(new Error('the control connection has ended')));

const reply = () => new Promise<string>((resolve) => waiting.push(resolve));

async function command(line: string): Promise<string> {
  const answer = reply();
  control.write(`${line}\r\n`);
  return await answer;
}

async function fetched(file: string): Promise<string> {
  const announced = await command('PASV');
  const numbers = /(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)/.exec(announced)?.slice(1).map(Number);
  if (!numbers) return announced;
  const data = connect(numbers[4]! * 256 + numbers[5]!, numbers.slice(0, 4).join('.'));
  await once(data, 'connect');
  const begun = await command(`RETR ${file}`);
  if (!begun.startsWith('150')) return begun;
  const complete = reply();
  const content = await text(data);
  const end = await complete;
  return end.startsWith('226') ? content.trimEnd() : end;
}

await reply();
await command('USER anonymous');
await command('PASS test');
await command('TYPE I');
process.stdout.write('ready\n');
for await (const file of createInterface({ input: process.stdin }))
  process.stdout.write(`${file}: ${await fetched(file)}\n`);
