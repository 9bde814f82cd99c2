/** Programs that read what ipvsadm prints, each in its own way: their awk, sed and grep on a listing with traffic in it. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { procServices, procStats } from '../../src/control/procfs.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { Directed } from '../support/directed.ts';
import { Administered } from '../support/ipvsadm.ts';

const WEB = 'tcp 192.0.2.80:80';
const DNS = 'udp 192.0.2.80:53';

/** A director that has had three web clients and two questions; 10.0.0.2 is quiesced. */
function busy(): { at: Administered; directed: Directed } {
  const directed = new Directed()
    .serve(WEB, ['10.0.0.1:80', '10.0.0.2:80'], { weight: 3 })
    .serve(DNS, ['10.0.0.3:53'], { scheduler: 'wlc' })
    .serve('udp [2001:db8::80]:53', ['[fd00::3]:5353']);
  for (const [from, to] of [
    ['203.0.113.7:4000', '192.0.2.80:80 SYN'],
    ['203.0.113.7:4001', '192.0.2.80:80 SYN'],
    ['203.0.113.8:4000', '192.0.2.80:80 SYN'],
    ['203.0.113.8:53', '192.0.2.80:53 UDP'],
    ['203.0.113.9:53', '192.0.2.80:53 UDP'],
  ])
    expect(directed.receive(`${from} > ${to}`)).toBe('forwarded');
  directed.edit(WEB, '10.0.0.2:80', { weight: 0 });
  directed.wait(2);
  return { directed, at: new Administered(localApi(directed.director, { now: () => directed.now })) };
}

/** What a line of the shell makes of a text. */
function piped(text: string, command: string): string {
  const { stdout, stderr } = spawnSync('sh', ['-c', command], { input: text, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trimEnd();
}

test.each([
  [
    'discovery of services, as for Zabbix',
    '-L -n',
    `egrep '^(TCP|UDP)' | awk '{print $1 "/" $2}'`,
    'TCP/192.0.2.80:80\nUDP/192.0.2.80:53\nUDP/[2001:db8::80]:53',
  ],
  [
    'discovery of servers with their sixth column, as for Zabbix',
    '-L -n',
    `grep -E '^ +-> [0-9[]' | awk '{print $2, $3, $4, $5, $6}'`,
    '10.0.0.1:80 Masq 3 1 0\n10.0.0.2:80 Masq 0 2 0\n10.0.0.3:53 Masq 1 0 2\n[fd00::3]:5353 Masq 1 0 0',
  ],
  [
    'active connections of a service, as of Nagios plug-ins',
    '-L -n -t 192.0.2.80:80 --sort',
    `awk '$1 == "->" && $2 != "RemoteAddress:Port" { active += $5; servers++ } END { print servers, active }'`,
    '2 3',
  ],
  [
    'the lines after the head of one service',
    '-L -n -t 192.0.2.80:80',
    `sed '1,2d' | awk '{print $1, $2}'`,
    'TCP 192.0.2.80:80\n-> 10.0.0.1:80\n-> 10.0.0.2:80',
  ],
  [
    'everything but the head, as of munin plug-ins',
    '-L -n',
    `sed '1,3d' | awk 'NR == 1 {print $2, $3}'`,
    '192.0.2.80:80 rr',
  ],
  ['what has no weight', '-L -n', `awk '/->/ && $4 == 0 {print $2}'`, '10.0.0.2:80'],
  [
    'totals, as of Diamond',
    '--list --stats --numeric --exact',
    `awk '/^ +-> [0-9]/ {print $2, $3, $4, $5}'`,
    '10.0.0.1:80 1 1 0\n10.0.0.2:80 2 2 0\n10.0.0.3:53 2 2 0',
  ],
  [
    'rates of services',
    '-L -n --rate',
    `awk '/^(TCP|UDP)/ && NF == 7 {print $2}' | head -1`,
    '192.0.2.80:80',
  ],
  [
    'connections by state',
    '-L -n -c',
    `awk 'NR > 2 {n[$1 " " $3]++} END {for (each in n) print each, n[each]}' | sort`,
    'TCP SYN_RECV 3\nUDP UDP 2',
  ],
  [
    'clients of a server',
    '-Lnc',
    `awk '$6 == "10.0.0.2:80" {split($4, client, ":"); print client[1]}' | sort -u`,
    '203.0.113.7\n203.0.113.8',
  ],
  [
    'rules, as of Salt',
    '-S -n',
    `awk '$1 == "-a" {print $3, $5, $NF}'`,
    '192.0.2.80:80 10.0.0.1:80 3\n192.0.2.80:80 10.0.0.2:80 0\n192.0.2.80:53 10.0.0.3:53 1\n[2001:db8::80]:53 [fd00::3]:5353 1',
  ],
  ['time-outs', '-L --timeout', `awk -F': ' '{print $2}'`, '900 120 300'],
])('%s', async (_who, words, command, want) => {
  const { status, stdout, stderr } = await busy().at.run(words);
  expect([status, stderr]).toEqual([0, '']);
  expect(piped(stdout, command)).toBe(want);
});

/** Rows as values by the names in the head: those of a service, and behind `->` those of its servers. */
function named(text: string): { services: Record<string, string>[]; servers: Record<string, string>[] } {
  const lines = text.split('\n').filter((line) => line !== '');
  const words = (line: string) => line.trim().split(/\s+/);
  const head = lines.findIndex((line) => line.startsWith('Prot'));
  const names = words(lines[head]!).filter((name) => name !== 'Flags');
  const more = names.slice(names.indexOf('LocalAddress:Port') + 1);
  const serverNames = words(lines[head + 1]!).slice(1);
  const columns = more.includes('Scheduler') ? serverNames : [...serverNames, ...more];
  const record = (columnNames: string[], values: string[]) =>
    Object.fromEntries(columnNames.map((name, i) => [name, values[i]!]));
  const rows = lines.slice(head + 2).map(words);
  return {
    services: rows.filter(([first]) => first !== '->').map((row) => record(names, row)),
    servers: rows.filter(([first]) => first === '->').map((row) => record(columns, row.slice(1))),
  };
}

describe('columns are found by the names in the header, as Octavia finds them,', () => {
  test('in the listing', async () => {
    const { stdout } = await busy().at.run('-Ln');
    const { services, servers } = named(stdout);
    expect(services[0]).toEqual({ Prot: 'TCP', 'LocalAddress:Port': '192.0.2.80:80', Scheduler: 'rr' });
    expect(servers[1]).toEqual({
      'RemoteAddress:Port': '10.0.0.2:80',
      Forward: 'Masq',
      Weight: '0',
      ActiveConn: '2',
      InActConn: '0',
    });
  });

  test('in the statistics', async () => {
    const { stdout } = await busy().at.run('-Ln --stats --exact');
    const { services, servers } = named(stdout);
    expect(services[1]).toMatchObject({ 'LocalAddress:Port': '192.0.2.80:53', Conns: '2', InPkts: '2' });
    expect(servers[2]).toMatchObject({ 'RemoteAddress:Port': '10.0.0.3:53', Conns: '2', OutBytes: '0' });
  });

  test('in the text of /proc/net', () => {
    const { directed } = busy();
    const snapshot = directed.director.snapshot(directed.now);
    const text = [...procServices(snapshot)].join('');
    expect(text).toMatch(/^UDP\s+C0000250:0035\s+wlc/m);
    expect(text).toMatch(/^UDP\s+\[2001:0db8:0000:0000:0000:0000:0000:0080\]:0035\s+rr/m);
    const names = /RemoteAddress:Port\s+(.*)$/m.exec(text)![1]!.trim().split(/\s+/);
    expect(names).toEqual(['Forward', 'Weight', 'ActiveConn', 'InActConn']);
    const four = [...text.matchAll(/-> (\w{8}:\w{4})\s+(.*)$/gm)].map(([, at, rest]) => [
      at,
      rest!.trim().split(/\s+/),
    ]);
    expect(four).toContainEqual(['0A000002:0050', ['Masq', '0', '2', '0']]);
    const six = [...text.matchAll(/-> (\[[\w:]+\]:\w{4})\s+(.*)$/gm)].map(([, at]) => at);
    expect(six).toEqual(['[fd00:0000:0000:0000:0000:0000:0000:0003]:14E9']);
    expect(procStats(snapshot).split('\n')[2]!.trim().split(/\s+/)).toHaveLength(5);
  });
});

test('command lines are accepted one after the other, as PyBal writes them', async () => {
  const at = new Administered();
  const lines = [
    '-D -t 192.0.2.80:80',
    '-A -t 192.0.2.80:80 -s wrr',
    '-a -t 192.0.2.80:80 -r 10.0.0.1 -w 10',
    '-a -t 192.0.2.80:80 -r 10.0.0.2 -w 10',
    '-e -t 192.0.2.80:80 -r 10.0.0.2 -w 0',
    '-d -t 192.0.2.80:80 -r 10.0.0.1',
  ];
  const { status, stderr } = await at.run('-R', `${lines.join('\n')}\n`);
  // The service was not there yet to be deleted: the first start.
  expect([status, stderr]).toEqual([0, 'No such service\n']);
  expect((await at.run('-S -n')).stdout).toBe(
    '-A -t 192.0.2.80:80 -s wrr\n-a -t 192.0.2.80:80 -r 10.0.0.2:80 -g -w 0\n',
  );
});
