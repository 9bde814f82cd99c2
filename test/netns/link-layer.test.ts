import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { startAgent, startDirector } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = '192.168.0.101';
const VIP6 = 'fd00::101';
const CONFIG = `method: dr
vips:
  - { interface: eth0, address: ${VIP}, prefix: 24 }
  - { interface: eth0, address: '${VIP6}', prefix: 64 }
services:
  - { udp: ${VIP}:7, scheduler: rr, destinations: [192.168.0.3] }
  - { udp: '[${VIP6}]:7', scheduler: rr, destinations: ['[fd00::3]'] }
`;
const DIRECTOR_MAC = '020000000001';
const CLIENT_MAC = '0200000000c8';

/** A frame from the client to the director, in hexadecimal; `tag`: an 802.1Q tag. */
const frame = (line: string, tag = '') =>
  `${DIRECTOR_MAC}${CLIENT_MAC}${tag}${line.startsWith('[') ? '86dd' : '0800'}${Buffer.from(packetOfLine(line)).toString('hex')}`;

describe.skipIf(why !== undefined).each(['live', 'tc'])(
  'frames of real networks, --datapath %s:',
  (datapath) => {
    let lab: Lab;
    const sinks: Program[] = [];

    beforeAll(async () => {
      lab = await Lab.create({ servers: 1, ipv6: true });
      const config = join(lab.folder, 'lvs.yaml');
      writeFileSync(config, CONFIG);
      const rs = lab.host('rs1');
      await startAgent(rs, '--vip', `${VIP},${VIP6}`);
      for (const address of [VIP, VIP6]) {
        const sink = rs.spawn([...built('test/support/datagram-sink'), address, '7']);
        await sink.line(/^ready$/);
        sinks.push(sink);
      }
      await startDirector(lab.director, config, '--datapath', datapath);
    });
    afterAll(() => lab?.[Symbol.asyncDispose]());

    const send = (...frames: string[]) =>
      lab.client.exec([...built('test/support/send-frames'), 'eth0', ...frames]);

    test.each([
      ['IPv4', 0, `192.168.0.200:1000 > ${VIP}:7 UDP`],
      ['IPv6', 1, `[fd00::c8]:1000 > [${VIP6}]:7 UDP`],
    ] as const)('a frame with a priority tag is an untagged frame, %s', async (_family, sink, line) => {
      // Priority 5, VLAN id 0; then an untagged one, and one of VLAN 5, which is not ours.
      await send(
        frame(`${line} len=301`, '8100a000'),
        frame(`${line} len=303`, '81000005'),
        frame(`${line} len=302`),
      );
      await sinks[sink]!.line(/^302 bytes/);
      expect(sinks[sink]!.lines.filter((each) => /^30\d bytes/.test(each))).toEqual([
        expect.stringMatching(/^301 bytes/),
        expect.stringMatching(/^302 bytes/),
      ]);
    });

    test.each([
      ['of more than the link carries', 1200, 20],
      ['that fit the link together', 300, 4],
    ])('datagrams that the sender merged arrive one at a time, %s', async (_what, size, count) => {
      for (const [i, address] of [VIP, VIP6].entries()) {
        const from = sinks[i]!.lines.length;
        await lab.client.exec([
          ...built('test/support/merged-client'),
          ...['--to', address, '--size', String(size), '--count', String(count), '--calls', '2'],
        ]);
        const expected = [0, 1].flatMap((call) =>
          Array.from(
            { length: count },
            (_, n) => `${n === count - 1 ? size - 1 : size} bytes of ${call * 64 + n}`,
          ),
        );
        // The first may arrive last: the director forwards it, and the kernel's program the second.
        const arrived = () => sinks[i]!.lines.slice(from).sort();
        await expect.poll(arrived, { timeout: PATIENCE }).toEqual(expected.sort());
      }
    });
  },
);

describe.skipIf(why !== undefined)('frames of real networks, --datapath xdp:', () => {
  test('a frame with a priority tag is an untagged frame', async () => {
    await using lab = await Lab.create({ servers: 1, ipv6: true, offloads: 'off' });
    // A veth that an XDP program sends to has to poll. Tags have to stay in the frame: XDP does not see those beside it.
    const options = ['gro', 'on', 'tx', 'off', 'txvlan', 'off'];
    spawnSync('ip', [
      ...['netns', 'exec', lab.namespace('segment')],
      ...['ethtool', '-K', lab.director.name, ...options],
    ]);
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, CONFIG);
    const rs = lab.host('rs1');
    await startAgent(rs, '--vip', `${VIP},${VIP6}`);
    await startDirector(lab.director, config, '--datapath', 'xdp');
    for (const [address, line] of [
      [VIP, `192.168.0.200:1000 > ${VIP}:7 UDP`],
      [VIP6, `[fd00::c8]:1000 > [${VIP6}]:7 UDP`],
    ] as const) {
      const sink = rs.spawn([...built('test/support/datagram-sink'), address, '7']);
      await sink.line(/^ready$/);
      const send = (...frames: string[]) =>
        lab.client.exec([...built('test/support/send-frames'), 'eth0', ...frames]);
      // The first makes a flow of the program, which the second takes.
      await send(frame(`${line} len=301`, '8100a000'));
      await sink.line(/^301 bytes/);
      // The second one is of VLAN 5, which is not ours.
      await send(
        frame(`${line} len=304`, '8100a000'),
        frame(`${line} len=303`, '81000005'),
        frame(`${line} len=302`),
      );
      await sink.line(/^302 bytes/);
      expect(sink.lines.filter((each) => /^30\d bytes/.test(each))).toEqual([
        expect.stringMatching(/^301 bytes/),
        expect.stringMatching(/^304 bytes/),
        expect.stringMatching(/^302 bytes/),
      ]);
    }
  });
});
