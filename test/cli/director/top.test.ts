import { expect, test } from 'vitest';
import { screenOf, topLines } from '../../../src/cli/director/top.ts';
import { ObservedDirector, TLS, WEB } from '../../support/observed.ts';

const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3, '10.0.0.2': 0 }).serve(TLS);
const lines = topLines(observed.snapshot(), new Date(0));

test('top shows services with their destinations, and why a destination receives nothing', () => {
  expect(lines[0]).toBe('lvs-director 00:00:00  2 services, 0 of 16 connections, 0 packets dropped');
  expect(lines.find((line) => line.includes('10.0.0.1:80'))).toMatch(/^ {2}10\.0\.0\.1:80 +nat +3 +0 +0 /);
  expect(lines.find((line) => line.includes('10.0.0.2:80'))).toContain('quiesced');
  expect(new Set(lines.filter((line) => line.length > 50).map((line) => line.trimEnd().length)).size).toBe(2);
});

test('top shows the state of VRRP instances', () => {
  const [first] = topLines(new ObservedDirector().report('MASTER').snapshot(), new Date(0));
  expect(first).toMatch(/0 packets dropped, lvs MASTER$/);
});

test('long names do not shift the columns, and the state is shown', () => {
  const six = { protocol: 'tcp', address: '2001:db8:1234:5678:9abc:def0:1234:5678', port: 80 } as const;
  const long = new ObservedDirector().serve(six, { '2001:db8:1234:5678:9abc:def0:1234:5601': 0 });
  const check = { type: 'agent', state: 'drained', since: 1, message: 'agent: drain', weight: 3 } as const;
  long.checks.set('2001:db8:1234:5678:9abc:def0:1234:5601', check);
  const table = topLines(long.snapshot(), new Date(0))
    .slice(1)
    .filter((line) => line !== '');
  expect(table.find((line) => line.includes('5601'))).toMatch(/ drained +nat /);
  expect(table).toHaveLength(4);
  expect(new Set(table.map((line) => line.length)).size).toBe(1);
});

test('lines and screens never overflow, and truncation is reported', () => {
  const screen = screenOf(lines, { columns: 20, rows: 5 });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences of a terminal
  const shown = screen.split('\r\n').map((line) => line.replace(/\u001b\[[0-9;?]*[a-zA-Z]/g, ''));
  expect(shown).toHaveLength(5);
  for (const line of shown) expect(line.length).toBeLessThanOrEqual(20);
  expect(shown.at(-1)).toBe(`... ${lines.length - 4} more lines`);
});
