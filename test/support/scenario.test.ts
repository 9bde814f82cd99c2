/** Differences between a scenario and the director are reported with their line. */
import { expect, test } from 'vitest';
import { parseScenarios } from './scenario-file.ts';
import { ScenarioPlayer } from './scenario-player.ts';

const RULES = [
  '```ipvsadm',
  'ipvsadm -A -t 192.0.2.80:80 -s rr',
  'ipvsadm -a -t 192.0.2.80:80 -r 10.0.0.1 -m',
  '```',
];
const IN = 'in   203.0.113.7:4000 > 192.0.2.80:80 SYN';

/** What is wrong with a scenario that ends with a block of these lines; the block's first line is the seventh. */
async function wrongWith(kind: string, ...lines: string[]): Promise<string[]> {
  const text = [...RULES, '## Title', `\`\`\`${kind}`, ...lines, '```'].join('\n');
  const player = new ScenarioPlayer();
  const wrong: string[] = [];
  for (const { statements } of parseScenarios(text, 'it.md'))
    for (const each of statements) wrong.push((await player.check(each)) ?? '');
  return wrong.filter((each) => each !== '');
}

test.each([
  'out  203.0.113.7:4000 > 10.0.0.1:80 SYN via 10.0.0.1',
  'out  203.0.113.7:4000 > 10.0.0.1:80 TCP SYN ttl=63   via 10.0.0.1',
  'out  203.0.113.7:4000 > 10.0.0.1:80 SYN seq=0 ack=0 win=64240 ttl=63 ipid=0 via 10.0.0.1',
])('the expectation %s holds', async (line) => expect(await wrongWith('packets', IN, line)).toEqual([]));

test.each([
  ['out  203.0.113.7:4000 > 10.0.0.1:80 SYN via 10.0.0.2', /^8: it says: /],
  ['out  203.0.113.7:4000 > 10.0.0.1:81 SYN via 10.0.0.1', /^8: it says: /],
  ['out  203.0.113.7:4000 > 10.0.0.1:80 SYN ttl=64 via 10.0.0.1', /^8: it says: /],
  ['out  203.0.113.7:4000 > 10.0.0.1:80 SYN len=1 via 10.0.0.1', /^8: it says: /],
  ['out  203.0.113.7:4000 > 10.0.0.1:80 via 10.0.0.1', /^8: it says: /],
  ['drop no-destination', /^8: it says: /],
  ['# nothing comes', /^7: and then, not expected: out /],
])('the expectation %s fails', async (line, complaint) => {
  const wrong = await wrongWith('packets', IN, line);
  expect(wrong).toHaveLength(1);
  expect(wrong[0]).toMatch(complaint);
});

test('a missing packet is reported', async () => {
  const out = 'out  203.0.113.7:4000 > 10.0.0.1:80 SYN via 10.0.0.1';
  expect(await wrongWith('packets', IN, out, out)).toEqual([`9: this did not come: ${out}`]);
});

test.each([
  [
    'ipvsadm -A -t 192.0.2.80:80 -s rr',
    'No such service',
    /^8: it says: No such service\n {2}it was: {2}Service already/,
  ],
  ['ipvsadm -Ln -t 192.0.2.80:80', 'Prot LocalAddress:Port Scheduler  Flags', /^8: it says: Prot/],
  ['ipvsadm -d -t 192.0.2.80:80 -r 10.0.0.1', 'gone', /^8: this did not come: gone/],
])('%s does not print %s', async (line, printed, complaint) => {
  expect((await wrongWith('ipvsadm', line, printed))[0]).toMatch(complaint);
});

test.each([
  ['to 10.0.0.1 10.0.0.1', 0],
  ['to 10.0.0.1 10.0.0.2', 1],
  ['to 10.0.0.1', 1],
  ['share 10.0.0.1=2', 0],
  ['share 10.0.0.1=3', 1],
])('two packets go %s', async (line, mistakes) => {
  const flows = 'flows 203.0.113.7:4000-4001 > 192.0.2.80:80 SYN';
  expect(await wrongWith('packets', flows, line)).toHaveLength(mistakes);
});

test.each([
  ['packets', 'out  1.2.3.4 > 1.2.3.5 UDP', /^it\.md:7: what is this the outcome of/],
  ['ipvsadmm', '', /^it\.md:6: a block is one of/],
])('a block of %s without meaning is refused', async (kind, line, complaint) => {
  await expect(wrongWith(kind, line)).rejects.toThrow(complaint);
});

test.each([
  ['packets', 'wait a while', 'how long'],
  ['packets', 'in nothing', 'invalid packet line'],
  ['ipvsadm', 'sysctl -w net.ipv4.vs.nothing=1', 'no such setting'],
  ['lvs.yaml', 'services: 1', 'expected a list'],
])('%s: %s is an error in the scenario', async (kind, line, complaint) => {
  await expect(wrongWith(kind, line)).rejects.toThrow(complaint);
});
