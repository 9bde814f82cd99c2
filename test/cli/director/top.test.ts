import { describe, expect, test } from 'vitest';
import { screenOf } from '../../../src/cli/director/top.ts';
import { firstScreen, pressed, type Screen } from '../../../src/cli/director/top-keys.ts';
import { DEFAULT_VIEW, topLines } from '../../../src/cli/director/top-lines.ts';
import { CLUSTER } from '../../support/cluster-status.ts';
import { ObservedDirector, TLS, WEB } from '../../support/observed.ts';
import { Site } from '../../support/site.ts';

const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3, '10.0.0.2': 0 }).serve(TLS);
const lines = topLines(observed.snapshot(), new Date(0));
const site = new Site(40, 20).snapshot();

test('top shows services with their destinations, and why a destination receives nothing', () => {
  expect(lines.head.slice(0, 2)).toEqual([
    'lvs-director 00:00:00  2 services, 1 without a server',
    '0 of 16 connections, 0 packets dropped',
  ]);
  const row = (name: string) => lines.rows.find((line) => line.includes(name));
  expect(row('10.0.0.1:80')).toMatch(/^ {2}10\.0\.0\.1:80 +no check +nat +3 +0 +0 /);
  expect(row('10.0.0.2:80')).toMatch(/ quiesced +nat +0 /);
  expect(row('tcp 192.0.2.1:443')).toMatch(/^tcp 192\.0\.2\.1:443 +no server +rr .* none is configured$/);
});

test('top shows the state of VRRP instances', () => {
  const { head } = topLines(new ObservedDirector().report('MASTER').snapshot(), new Date(0));
  expect(head[0]).toMatch(/0 services, lvs MASTER$/);
});

test('top shows the cluster of the director in a line above the columns', () => {
  const { head } = topLines(observed.snapshot(), new Date(0), DEFAULT_VIEW, 60, CLUSTER);
  expect(head).toHaveLength(lines.head.length + 1);
  expect(head[2]).toBe('cluster web: 2 of 5 directors online, generation 7, group b>');
});

test('long names do not shift the columns, and the state is shown', () => {
  const six = { protocol: 'tcp', address: '2001:db8:1234:5678:9abc:def0:1234:5678', port: 80 } as const;
  const long = new ObservedDirector().serve(six, { '2001:db8:1234:5678:9abc:def0:1234:5601': 0 });
  const check = { type: 'agent', state: 'drained', since: 1, message: 'agent: drain', weight: 3 } as const;
  long.checks.set('2001:db8:1234:5678:9abc:def0:1234:5601', check);
  const { head, rows } = topLines(long.snapshot(), new Date(0));
  expect(rows[1]).toMatch(/5601\]:80 +drained +nat /);
  const ends = [...head.slice(2), rows[1]!].map((line) => line.length);
  expect(new Set(ends).size).toBe(1);
});

describe('within 80 columns', () => {
  test('nothing is longer, names come before traffic, and a cut is marked', () => {
    const { head, rows } = topLines(site, new Date(0), DEFAULT_VIEW, 80);
    for (const line of [...head, ...rows]) expect(line.length).toBeLessThanOrEqual(80);
    expect(head.at(-1)).toMatch(/^SERVICE, server +STATE +WEIGHT +ACTIVE +NEW\/S +IN PPS/);
    expect(rows[0]).toMatch(/^tcp 192\.0\.2\.18:443 +no server /);
    expect(rows.find((row) => row.startsWith('cache (tcp [2001:db8:0:10::7]:443)'))).toMatch(/ impaired /);
    const long = { ...site, services: [{ ...site.services[0]!, name: 'x'.repeat(63) }] };
    expect(topLines(long, new Date(0), DEFAULT_VIEW, 80).rows[0]).toMatch(/^x{36}> impaired /);
  });

  test('a wide terminal shows all columns and the reasons', () => {
    const { head, rows } = topLines(site, new Date(0), DEFAULT_VIEW, 160);
    expect(head.at(-1)).toMatch(/METHOD .*INACT .*OUT BIT\/S$/);
    expect(rows[0]).toMatch(/ 20 down$/);
  });
});

describe('the keys of top', () => {
  const namesOf = ({ view }: Screen) =>
    topLines(site, new Date(0), view)
      .rows.filter((row) => !row.startsWith(' '))
      .map((row) => row.split(' ')[0]);
  const screenAfter = (...keys: string[]) =>
    keys.reduce((screen, key) => pressed(screen, key, 20, 840), firstScreen({}));

  test('change the order', () => {
    expect(namesOf(screenAfter()).slice(0, 3)).toEqual(['tcp', 'web', 'api']);
    expect(namesOf(screenAfter('s')).slice(0, 4)).toEqual(['web', 'api', 'mail', 'dns']);
    expect(namesOf(screenAfter('s', 's')).slice(0, 3)).toEqual(['api', 'api3', 'api4']);
    const news = site.services.toSorted((a, b) => b.rates.connections - a.rates.connections);
    expect(namesOf(screenAfter('s', 's', 's'))[0]).toBe(news[0]!.name ?? 'tcp');
    expect(screenAfter('s', 's', 's', 's', 's').view.order).toBe('problems');
  });

  test('filter by name, address and state', () => {
    const shop = screenAfter('/shop node7\r');
    expect(topLines(site, new Date(0), shop.view).rows.map((row) => row.split(' (')[0])).toEqual([
      'shop2',
      '  node7',
      'shop3',
      '  node7',
    ]);
    expect(namesOf(screenAfter('/2001:db8 down\r')).length).toBe(1);
    expect(screenAfter('/web\u007f\u007f', 'x').view.filter).toBe('wx');
    expect(screenAfter('/web\u001b').view.filter).toBe('');
    // Arrows and controls are no text.
    expect(screenAfter('/a\u001b[A\u0007b\r').view.filter).toBe('ab');
    expect(screenAfter('/q')).toMatchObject({ isEnded: false, isTyping: true });
  });

  test('hide destinations, and services without a problem', () => {
    expect(topLines(site, new Date(0), screenAfter('c').view).rows).toHaveLength(40);
    expect(topLines(site, new Date(0), screenAfter('c', 'p').view).rows).toHaveLength(15);
  });

  test('scroll, not beyond the ends', () => {
    expect(screenAfter('\u001b[B', 'j').first).toBe(2);
    expect(screenAfter('\u001b[B\u001b[B\u001b[A').first).toBe(1);
    expect(screenAfter('\u001b[A').first).toBe(0);
    expect(screenAfter('G').first).toBe(820);
    expect(screenAfter('G', ' ', 'b').first).toBe(800);
    expect(screenAfter('G', 'g').first).toBe(0);
  });

  test.each(['q', '\u0003', '/x\u0003'])('%j ends it', (key) => expect(screenAfter(key).isEnded).toBe(true));
});

describe('a screen', () => {
  const shown = (...[of, screen, terminal, problem]: Parameters<typeof screenOf>) =>
    screenOf(of, screen, terminal, problem)
      .split('\r\n')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences of a terminal
      .map((line) => line.replace(/\u001b\[[0-9;?]*[a-zA-Z]/g, ''));

  test.each([
    [80, 24],
    [20, 5],
    [1, 1],
    [300, 1000],
  ])('of %d x %d is never larger', (columns, rows) => {
    const text = shown(topLines(site, new Date(0), DEFAULT_VIEW, columns), firstScreen({}), {
      columns,
      rows,
    });
    expect(text.length).toBeLessThanOrEqual(Math.max(1, rows));
    for (const line of text) expect(line.length).toBeLessThanOrEqual(columns);
  });

  test('reports its place, its order, and a director that does not answer', () => {
    const terminal = { columns: 100, rows: 24 };
    const screen = { ...firstScreen({}), first: 9999 };
    const all = topLines(site, new Date(0), DEFAULT_VIEW, 100);
    expect(shown(all, screen, terminal).at(-1)).toMatch(
      /^822-840 of 840 {2}q quit {2}\/ filter {2}s sort \(problems\)/,
    );
    expect(shown(all, screen, terminal, 'no answer').at(-1)!.trimEnd()).toBe('no answer');
  });
});
