import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { startAgent, startDirector } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = '192.168.0.101';
const CONFIG = `method: dr
vips: [{ interface: eth0, address: ${VIP}, prefix: 24 }]
services:
  - { udp: ${VIP}:7, scheduler: rr, destinations: [192.168.0.3] }
`;
const METRICS = 'http://127.0.0.1:9112/metrics';
const byNumber = (a: number, b: number) => a - b;
/** A frame from the client to the director, in hexadecimal. */
const frame = (source: string, octets: number, port = 1000) =>
  `0200000000010200000000c80800${Buffer.from(packetOfLine(`${source}:${port} > ${VIP}:7 UDP len=${octets}`)).toString('hex')}`;

describe.skipIf(why !== undefined).each(['live', 'tc'])('a director with --datapath %s', (datapath) => {
  let lab: Lab;
  let sink: Program;
  let port = 2000;

  beforeAll(async () => {
    // eth1 of the director is on 192.168.1.0/24.
    lab = await Lab.create({ shape: 'all', servers: 1 });
    const rs = lab.host('rs1');
    await startAgent(rs, '--vip', VIP);
    sink = rs.spawn([...built('test/support/datagram-sink'), VIP, '7']);
    await sink.line(/^ready$/);
    await rs.exec('sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0');
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, CONFIG);
    await startDirector(lab.director, config, '--datapath', datapath, '--metrics');
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const rpFilter = async (mode: number) => {
    await lab.director.exec(`sysctl -qw net.ipv4.conf.all.rp_filter=${mode}`);
    // The director reads it within a second.
    await lab.director.exec('sleep 2.2');
  };
  const dropped = async (): Promise<number> => {
    const text = await lab.director.exec(`curl -sS --max-time 30 ${METRICS}`);
    return Number(/^lvs_dropped_packets_total\{reason="martian-source"\} (\d+)$/m.exec(text)?.[1]);
  };
  /** Sends datagrams of 100 bytes and more from the sources, and a good one of 99; resolves when those of the expected lengths arrived. */
  const expectArrived = async (sources: readonly string[], lengths: readonly number[]): Promise<void> => {
    const from = sink.lines.length;
    const frames = sources.map((source, i) => frame(source, 100 + i));
    await lab.client.exec([
      ...built('test/support/send-frames'),
      'eth0',
      ...frames,
      frame('192.168.0.200', 99, ++port),
    ]);
    // Some take the way through the director and arrive later than those that programs forward.
    await expect
      .poll(() =>
        sink.lines
          .slice(from)
          .map((line) => Number.parseInt(line, 10))
          .sort(byNumber),
      )
      .toEqual(lengths);
  };
  /** Resolves when as many packets more were dropped. */
  const expectDropped = async (before: number, more: number): Promise<void> =>
    expect.poll(async () => (await dropped()) - before).toBe(more);

  test('never accepts its addresses as sources: the VIP, and others of the host', async () => {
    await rpFilter(0);
    const before = await dropped();
    await expectArrived([VIP, '192.168.0.1', '192.168.1.1', '127.0.0.1'], [99]);
    // The loopback address is refused before there is a question of interfaces.
    await expectDropped(before, 3);
  });

  test('accepts sources of the network of another interface according to rp_filter', async () => {
    await rpFilter(0);
    await expectArrived(['192.168.1.77'], [99, 100]);
    await rpFilter(1);
    const before = await dropped();
    // 10.1.1.1 has no route at all.
    await expectArrived(['192.168.1.78', '10.1.1.1'], [99]);
    await expectDropped(before, 2);
    // Loose: there must be a route.
    await rpFilter(2);
    await expectArrived(['192.168.1.79', '10.1.1.2'], [99, 100]);
    await expectDropped(before, 3);
    // A packet of a known connection is not looked up again.
    await rpFilter(1);
    await expectArrived(['192.168.1.79'], [99, 100]);
  });
});
