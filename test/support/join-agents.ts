/**
 * Many servers that join from one host: each has an address, a name and a file with its words. For the line "leave 3" of its
 * standard input the third one drains and leaves; it prints "left 3" then. "kill 3" ends it at once. For "flood 1000", as many
 * heartbeats of other servers are sent with another key; it prints "sent" then.
 *
 *   node dist/test/support/join-agents.js eth0 /etc/lvs/join.key tcp:192.168.0.101:80 /tmp/words 192.168.1.50 192.168.1.51
 */
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { encodeHeartbeat, joinKey } from '../../src/join/heartbeat-codec.ts';
import { AgentWords } from '../../src/realserver/join/agent-words.ts';
import { JoinAgent } from '../../src/realserver/join/join-agent.ts';
import { OwnState } from '../../src/realserver/join/own-state.ts';

const [device = '', keyFile = '', service = '', folder = '', ...addresses] = process.argv.slice(2);
const [, address = '', port = ''] = service.split(':');
const keys = [joinKey(Buffer.from(readFileSync(keyFile, 'latin1').trim(), 'hex'))];

const print = (line: string) => process.stdout.write(`${line}\n`);

const agents = addresses.map((own, i) => {
  const file = `${folder}/words-${i + 1}`;
  writeFileSync(file, 'up ready 100%\n');
  const say = (line: string): void => void print(`${i + 1}: ${line}`);
  const state = new OwnState({
    node: `many${String(i + 1).padStart(2, '0')}`,
    places: [
      {
        service: { protocol: 'tcp', address, port: Number(port) },
        destination: { address: own, port: Number(port) },
        weight: 100,
      },
    ],
    words: new AgentWords({ file, failed: (problem) => void print(problem ?? 'the words are known') }),
    say,
  });
  return new JoinAgent({
    ...{ own: state, interface: device, group: '224.0.0.81', port: 8850, period: 500, keys, say },
  });
});
await Promise.all(agents.map((agent) => agent.start()));
print('ready');

/** Sends heartbeats with another key, each of another server. */
async function flood(count: number): Promise<void> {
  const socket = createSocket('udp4');
  const wrong = joinKey(new Uint8Array(32));
  for (let i = 0; i < count; i++) {
    const beat = { node: `fake${i}`, run: '0123456789abcdef', state: 'up', counter: 1 } as const;
    const datagram = encodeHeartbeat({ ...beat, answers: [], places: [] }, wrong);
    await new Promise<void>((resolve) => socket.send(datagram, 8850, '224.0.0.81', () => resolve()));
  }
  socket.close();
  print('sent');
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, number] = line.split(' ');
  const agent = agents[Number(number) - 1]!;
  if (word === 'flood') void flood(Number(number));
  else if (word === 'kill') agent[Symbol.dispose]();
  else
    void (async () => {
      await agent.drain();
      await agent.leave();
      agent[Symbol.dispose]();
      print(`left ${number}`);
    })();
});
