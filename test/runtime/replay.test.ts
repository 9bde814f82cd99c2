import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../src/config/compile.ts';
import { parseLvsConf } from '../../src/config/lvs-conf.ts';
import { LvsError } from '../../src/model/errors.ts';
import type { Loaded } from '../../src/runtime/configuration/configuration.ts';
import { replay, seeded } from '../../src/runtime/replay.ts';
import { readPcap } from '../../src/wire/pcap-file.ts';
import { lineOf } from '../support/packets.ts';
import { PROJECT } from '../support/project.ts';

const FILE = `
LVS_TYPE=VS_DR
INITIAL_STATE=on
VIP=eth0:101 192.168.0.101 255.255.255.0 192.168.0.0
DIRECTOR_INSIDEIP=eth0 192.168.0.1 192.168.0.0 255.255.255.0 192.168.0.255
SERVICE=t 80 rr 192.168.0.3 192.168.0.4
SERVICE=t 23 rr 192.168.0.3 192.168.0.4
SERVER_VIP_DEVICE=lo:0
SERVER_NET_DEVICE=eth0
`;

async function config(): Promise<Loaded> {
  const names = { port: () => undefined, host: async (name: string) => name };
  const { document } = await parseLvsConf(FILE, 'lvs.conf', names, ['rr']);
  return {
    document,
    commands: compile(document),
    vips: document.vips,
    interfaces: ['eth0'],
    warnings: [],
    access: { entries: [], digests: {}, warnings: [] },
  };
}
const recording = () => readFileSync(join(PROJECT, 'test/fixtures/dr-http-telnet.pcap'));
const linesOf = (file: Uint8Array) => [...readPcap(file)].map(({ octets }) => lineOf(octets));

describe('a recording', () => {
  test('gives the same bytes every time', async () => {
    const [one, other] = [replay(await config(), recording(), 1), replay(await config(), recording(), 1)];
    expect(Buffer.compare(one.file, other.file)).toBe(0);
    expect(one.connections).toEqual(other.connections);
  });

  test('passes through the director: everything is forwarded, at the times in the file', async () => {
    const result = replay(await config(), recording(), 1);
    expect(result.verdicts).toEqual({ forwarded: result.packets });
    const lines = linesOf(result.file);
    expect(lines).toHaveLength(result.sent);
    expect(lines[0]).toMatch(/^192\.168\.0\.200:\d+ > 192\.168\.0\.101:80 TCP SYN/);
    const [heard] = readPcap(recording());
    const [sent] = readPcap(result.file);
    expect(Math.abs(heard!.at - sent!.at)).toBeLessThan(1);
  });

  test('leaves connections and counters behind', async () => {
    const { connections, snapshot } = replay(await config(), recording(), 1);
    expect(connections.map(({ virtualPort, state }) => `${virtualPort} ${state}`).sort()).toEqual([
      '23 FIN_WAIT',
      '80 FIN_WAIT',
      '80 FIN_WAIT',
    ]);
    expect(snapshot.table.connections).toBe(3);
  });
});

test.each([
  ['no pcap file', Buffer.from('this is no recording of packets')],
  ['a file that breaks off', recording().subarray(0, 100)],
])('reports %s as an internal error', async (_name, file) => {
  const configured = await config();
  expect(() => replay(configured, file, 1)).toThrow(LvsError);
});

test('the random source depends on the seed alone and stays below one', () =>
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (seed) => {
      const [one, other] = [seeded(seed), seeded(seed)];
      const numbers = Array.from({ length: 50 }, () => one());
      expect(numbers).toEqual(Array.from({ length: 50 }, () => other()));
      expect(numbers.every((each) => each >= 0 && each < 1)).toBe(true);
      expect(new Set(numbers).size).toBe(50);
    }),
  ));
