/** `lvs-director replay` as a command: what it prints, and what it says of files that it cannot read or write. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LINKTYPE_RAW, pcapHeader, pcapPacket } from '../../src/wire/pcap-file.ts';
import { captureFile } from '../support/captures.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import { hex } from '../support/packets.ts';
import { built, notBuilt, PROJECT } from '../support/project.ts';

const why = notBuilt('src/cli/director');
const CONFIG = join(PROJECT, 'conf/dr.yaml');
const CAPTURE = captureFile('dr-http-telnet.pcap');
const DAY = 86_400_000;

interface Files {
  readonly config?: string;
  readonly received?: Uint8Array;
  readonly out?: string;
}

/** Runs a replay in a separate folder. `received`: the recorded packets; missing: no such file. */
function run({ config = CONFIG, received, out = 'out.pcap' }: Files, ...more: string[]) {
  using folder = new TemporaryFolder();
  if (received) writeFileSync(folder.file('in.pcap'), received);
  const [node, ...script] = built('src/cli/director');
  const words = ['replay', '--config', config, '--in', 'in.pcap', '--out', out, ...more];
  const { status, stdout, stderr } = spawnSync(node!, [...script, ...words], {
    cwd: folder.path,
    encoding: 'utf8',
  });
  const sent = status === 0 ? readFileSync(folder.file(out)) : undefined;
  return { status, stdout, stderr, sent };
}

test('the executable exists', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('lvs-director replay', () => {
  test('prints the verdict on each packet, and the connections as ipvsadm prints them', () => {
    const { status, stdout, stderr, sent } = run({ received: CAPTURE });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [summary, title, head, ...rows] = stdout.trimEnd().split('\n');
    expect(summary).toBe('25 packets (1 others skipped): forwarded 21, pass 4; 21 sent');
    expect(title).toBe('IPVS connection entries');
    expect(head).toMatch(/^pro expire state +source +virtual +destination$/);
    expect(rows.map((row) => row.replace(/\d\d:\d\d/, 'MM:SS')).sort()).toEqual([
      'TCP MM:SS  FIN_WAIT    192.168.0.200:51762 192.168.0.101:80   192.168.0.4:80',
      'TCP MM:SS  FIN_WAIT    192.168.0.200:51798 192.168.0.101:80   192.168.0.3:80',
    ]);
    expect(sent!.length).toBeGreaterThan(8000);
  });

  test('prints the same content as JSON', () => {
    const { stdout, sent } = run({ received: CAPTURE }, '--json');
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({ packets: 25, skipped: 1, sent: 21, verdicts: { forwarded: 21, pass: 4 } });
    expect(Object.keys(told)).toEqual(
      'packets skipped sent verdicts connections services stats drops'.split(' '),
    );
    expect(told.connections).toHaveLength(2);
    expect(told.connections[0]).toMatchObject({
      protocol: 'TCP',
      state: 'FIN_WAIT',
      clientAddress: '192.168.0.200',
      virtualAddress: '192.168.0.101',
      virtualPort: 80,
      template: false,
    });
    expect(told.services[0].stats).toMatchObject({ connections: 2, inPackets: 21 });
    expect(run({ received: CAPTURE }).sent).toEqual(sent);
  });

  const beginning = pcapHeader(LINKTYPE_RAW);
  const packet = pcapPacket(hex('45000014000000004006'), 0);
  const believable = Buffer.concat([beginning, packet]);
  const withHeader = (offset: number, digits: string): Buffer => {
    const file = Buffer.from(believable);
    file.set(hex(digits), offset);
    return file;
  };

  test.each<[string, Uint8Array | undefined, RegExp]>([
    ['no file', undefined, /in\.pcap: ENOENT/],
    ['an empty file', Buffer.alloc(0), /the file header is truncated \(at byte 0\)/],
    ['a header that breaks off', CAPTURE.subarray(0, 10), /the file header is truncated \(at byte 10\)/],
    ['a packet that breaks off', CAPTURE.subarray(0, 300), /a packet is truncated \(at byte 254\)/],
    [
      'a packet header that breaks off',
      believable.subarray(0, 30),
      /a packet header is truncated \(at byte 24\)/,
    ],
    ['pcapng', hex(`0a0d0d0a1c000000${'4d'.repeat(24)}`), /not a pcap file \(pcapng is another format\)/],
    ['a picture', hex(`89504e470d0a1a0a${'00'.repeat(24)}`), /not a pcap file/],
    [
      'a packet of 4 GiB',
      withHeader(32, 'ffffffff'),
      /invalid packet length 4294967295: expected at most 262144/,
    ],
    ['Bluetooth', withHeader(20, 'bb000000'), /link type 187: not supported/],
    [
      'a clock that jumps',
      Buffer.concat([beginning, packet, pcapPacket(packet, 31 * DAY)]),
      /a packet is 31 days after the previous one/,
    ],
  ])('exits with status 1 and a one-line reason: %s', (_name, received, complaint) => {
    const { status, stdout, stderr } = run(received ? { received } : {});
    expect(stderr).toMatch(complaint);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^lvs-director: /);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  });

  test('exits with status 1 and names an output that cannot be written', () => {
    const { status, stderr } = run({ received: CAPTURE, out: 'nowhere/out.pcap' });
    expect(stderr).toMatch(/^lvs-director: nowhere\/out\.pcap: ENOENT.*\n$/);
    expect(status).toBe(1);
  });

  test('exits with status 2 and the place of an error in the configuration', () => {
    const { status, stderr } = run({ received: CAPTURE, config: join(PROJECT, 'package.json') });
    expect(stderr).toMatch(/package\.json:1:\d+: error: /);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(status).toBe(2);
  });

  test('counts and drops records that are not packets', () => {
    const { status, stdout } = run({ received: believable });
    expect(stdout).toContain('1 packets (0 others skipped): malformed 1; 0 sent');
    expect(status).toBe(0);
  });
});
