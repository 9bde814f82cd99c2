/**
 * Many servers that join from one host, by heartbeats or by etcd: each has an address, a name and a file with its words. For the
 * line "leave 3" of its standard input the third one drains and leaves; it prints "left 3" then. "kill 3" ends it at once. For
 * "flood 1000", as many heartbeats of other servers are sent with another key; it prints "sent" then.
 *
 *   node dist/test/support/join-agents.js --interface eth0 --key-file /etc/lvs/join.key \
 *     --service tcp:192.168.0.101:80 --words /tmp/words 192.168.1.50 192.168.1.51
 *   node dist/test/support/join-agents.js --etcd http://192.168.1.254:2379 --first 11 --service ... --words ... 192.168.1.60
 */
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Keys } from '../../src/cluster/keys.ts';
import { EtcdClient } from '../../src/etcd/client.ts';
import { encodeHeartbeat, joinKey } from '../../src/join/heartbeat-codec.ts';
import { AgentWords } from '../../src/realserver/join/agent-words.ts';
import { EtcdAgent } from '../../src/realserver/join/etcd-agent.ts';
import { JoinAgent } from '../../src/realserver/join/join-agent.ts';
import { type Announcer, OwnState } from '../../src/realserver/join/own-state.ts';

const { values, positionals: addresses } = parseArgs({
  allowPositionals: true,
  options: {
    service: { type: 'string', default: '' },
    words: { type: 'string', default: '' },
    interface: { type: 'string', default: '' },
    'key-file': { type: 'string' },
    /** Endpoints of the cluster web. */
    etcd: { type: 'string', default: '' },
    /** Number of the first server. */
    first: { type: 'string', default: '1' },
  },
});
const [, address = '', port = ''] = values.service.split(':');
const keyFile = values['key-file'];
const keys =
  keyFile === undefined ? [] : [joinKey(Buffer.from(readFileSync(keyFile, 'latin1').trim(), 'hex'))];
const first = Number(values.first);

const print = (line: string) => process.stdout.write(`${line}\n`);

const agents = addresses.map((own, i): Announcer => {
  const number = first + i;
  const file = `${values.words}/words-${number}`;
  const node = `many${String(number).padStart(2, '0')}`;
  writeFileSync(file, 'up ready 100%\n');
  const say = (line: string): void => void print(`${number}: ${line}`);
  const state = new OwnState({
    node,
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
  if (keyFile === undefined) {
    const client = new EtcdClient({ endpoints: values.etcd.split(',') });
    return new EtcdAgent({ client, key: new Keys('web').server(node), own: state, say });
  }
  const group = { interface: values.interface, group: '224.0.0.81', port: 8850, period: 500 };
  return new JoinAgent({ ...group, own: state, keys, say });
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
  const agent = agents[Number(number) - first]!;
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
