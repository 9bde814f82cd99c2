import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { stateOf } from '../../src/web/destination-state.ts';
import { groupsOf } from '../../src/web/event-groups.ts';
import { Events } from '../../src/web/events.ts';
import { escaped, html } from '../../src/web/html.ts';
import { page } from '../../src/web/page.ts';
import { PageVersions } from '../../src/web/page-versions.ts';
import { stateOfService } from '../../src/web/service-state.ts';
import { MARK, ObservedDirector, TLS, WEB } from '../support/observed.ts';
import { Site } from '../support/site.ts';

const textOf = async (observed: ObservedDirector) => (await page(observed)).join('');

test('the page shows services, destinations with their state and the reason', async () => {
  const observed = new ObservedDirector();
  observed.serve(WEB, { '10.0.0.1': 3, '10.0.0.2': 0, '10.0.0.3': 0 }, { scheduler: 'wlc', persistent: 300 });
  const check = { type: 'http', state: 'down', since: 75, message: 'status 500', weight: 1 } as const;
  observed.checks.set('10.0.0.3', check);
  const text = await textOf(observed);
  expect(text).toContain('tcp 192.0.2.1:80');
  expect(text).toContain('wlc, persistent 300 s');
  expect(text).toMatch(/10\.0\.0\.1:80<\/th><td><span class="state">no check</);
  expect(text).toMatch(/10\.0\.0\.2:80<\/th><td><span class="state">quiesced<\/span> <small>weight 0</);
  expect(text).toContain('for 1 min 15 s; http check: status 500');
  expect(text).toContain('<title>1 destination down: lvs-director</title>');
});

test('the page shows the state of VRRP instances', async () => {
  expect(await textOf(new ObservedDirector().report('BACKUP'))).toContain(
    'VRRP instance lvs: <strong>BACKUP</strong>',
  );
});

test('the page shows shares of new connections, and the shares expected from the weights', async () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 3, '10.0.0.2': 1 });
  const record = ({ rates, services }: Snapshot) => observed.history.record(rates, services);
  const gained = (a: number, b: number) => {
    const snapshot = observed.snapshot();
    const [service] = snapshot.services;
    const destinations = service!.destinations.map((each, i) => ({
      ...each,
      stats: { ...each.stats, connections: i === 0 ? a : b },
    }));
    return { ...snapshot, services: [{ ...service!, destinations }] };
  };
  await record(gained(100, 100));
  await record(gained(160, 140));
  const text = await textOf(observed);
  expect(text).toContain('60 %, 75 %');
  expect(text).toContain('40 %, 25 %');
});

test('the page shows an overloaded destination: its load, and when it accepts more', async () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
  const [service] = observed.snapshot().services;
  const state = (thresholds: { upperThreshold: number; lowerThreshold: number }) =>
    stateOf({ ...service!.destinations[0]!, overloaded: true, activeConnections: 9, ...thresholds }).why;
  const has = '9 connections, threshold 10; accepts new ones below';
  expect(state({ upperThreshold: 10, lowerThreshold: 5 })).toBe(`${has} 5`);
  expect(state({ upperThreshold: 10, lowerThreshold: 0 })).toBe(`${has} 8`);
});

test('services with similar names have distinct anchors in the page', async () => {
  const observed = new ObservedDirector();
  for (const address of ['2001:db8::1', '2001::db8:1'])
    observed.serve({ protocol: 'tcp', address, port: 80 });
  const ids = [...(await textOf(observed)).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('the page shows that the director is not ready, and why', async () => {
  expect(await textOf(new ObservedDirector().serve(MARK))).toContain(
    'not ready: no destination accepts new connections',
  );
});

/** Elements that may appear; a text that breaks out would add another, or an attribute. */
const TAGS = /<(\/?)([a-z!][a-z0-9]*)/gi;

test('external text never becomes markup', async () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('<script>alert(1)</script>', '"><img src=x onerror=y>', "' onload='", '</main>', '&lt;'),
  );
  const tagsOf = async (message: string) => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
    observed.checks.set('10.0.0.1', { type: 'command', state: 'down', since: 1, message, weight: 1 });
    observed.events.add(new Date(0), 'error', 'check-down', { cause: message });
    return [...(await textOf(observed)).matchAll(TAGS)].map(([tag]) => tag).join('');
  };
  const plain = await tagsOf('x');
  await fc.assert(
    fc.asyncProperty(
      nasty.filter((text) => text !== ''),
      async (text) => (await tagsOf(text)) === plain,
    ),
  );
});

test('escaped text has the same meaning', async () => {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
  const read = (text: string) => text.replace(/&([a-z0-9#]+);/g, (_, name: string) => named[name]!);
  fc.assert(fc.property(fc.string(), (text) => read(escaped(text)) === text));
  expect(html`<b>${'<'}${html`<i>${1}</i>`}${undefined}</b>`.text).toBe('<b>&lt;<i>1</i></b>');
});

test('the page contains no inline style and no inline script', async () => {
  const text = await textOf(new ObservedDirector().serve(WEB, { '10.0.0.1': 1 }));
  expect(text).not.toMatch(/ style=|<style|javascript:| on[a-z]+=|<script>/);
  expect([...text.matchAll(/(?:src|href)="(?!\/|#|data:,)/g)]).toEqual([]);
});

test('the page is sent in parts, one for each service', async () => {
  const observed = new ObservedDirector();
  for (let port = 1; port <= 30; port++)
    observed.serve({ protocol: 'tcp', address: '192.0.2.1', port }, { '10.0.0.1': 1, '10.0.0.2': 1 });
  const parts = await page(observed);
  expect(parts.length).toBeGreaterThan(30);
  expect(parts.join('').match(/<details class="service /g)).toHaveLength(30);
});

test('a service without a check, with a failed server, and without any are distinct', () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1, '10.0.0.2': 0, '10.0.0.3': 1 });
  const stateNow = () => {
    const { word, rank, accepting, total, why } = stateOfService(observed.snapshot().services[0]!);
    return [word, rank, accepting, total, why];
  };
  const down = { type: 'http', state: 'down', since: 1, message: '', weight: 1 } as const;
  expect(stateNow()).toEqual(['reduced', 2, 2, 3, '1 quiesced']);
  observed.checks.set('10.0.0.2', down);
  expect(stateNow()).toEqual(['impaired', 1, 2, 3, '1 down']);
  for (const address of ['10.0.0.1', '10.0.0.3'])
    observed.director.apply(
      {
        op: 'edit-destination',
        service: WEB,
        destination: { address, port: 80 },
        options: { method: 'nat', weight: 0 },
      },
      0,
    );
  expect(stateNow()).toEqual(['no server', 0, 0, 3, '2 quiesced, 1 down']);
  const [service] = new ObservedDirector().serve(TLS, { '10.0.0.1': 1 }).snapshot().services;
  expect(stateOfService(service!).word).toBe('no check');
  expect(stateOfService({ ...service!, destinations: [] })).toMatchObject({ word: 'no server', rank: 0 });
});

test('a service without a server is not ready on the page, and comes first', async () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 }).serve(TLS, { '10.0.0.1': 0 });
  const text = await textOf(observed);
  expect(text).toContain('<title>1 of 2 services without a server: lvs-director</title>');
  expect(text).toMatch(/role="status" class="bad">1 of 2 services without a server</);
  expect(text.indexOf('id="s-tcp-192.0.2.1:443"')).toBeLessThan(text.indexOf('id="s-tcp-192.0.2.1:80"'));
});

test('a failure in several services is one problem', async () => {
  const text = await textOf(new Site(12, 4));
  const problems = /<section id="problems".*?<\/section>/s.exec(text)![0];
  expect(problems.match(/<li/g)).toHaveLength(1);
  expect(problems).toMatch(
    /<b>node4<\/b> in 10 services: .*, and 6 more<small>http check: connection refused/,
  );
});

test('events of one cause within a minute are a group, the newest first', () => {
  const events = new Events();
  const add = (second: number, event: string, fields: Record<string, string>) =>
    events.add(new Date(second * 1000), 'warning', event, fields);
  add(0, 'check-down', { service: 'a', destination: 'x', cause: 'refused' });
  add(1, 'check-down', { service: 'b', destination: 'x', cause: 'refused' });
  add(2, 'check-down', { service: 'c', destination: 'x', cause: 'timeout' });
  add(3, 'check-down', { service: 'c', destination: 'x', cause: 'refused' });
  add(90, 'check-down', { service: 'd', destination: 'x', cause: 'refused' });
  const groups = groupsOf(events.latest, 10).map(({ events: its, common }) => [
    its.map(({ id }) => id),
    common,
  ]);
  expect(groups).toEqual([
    [[5], { service: 'd', destination: 'x', cause: 'refused' }],
    [[1, 2, 4], { destination: 'x', cause: 'refused' }],
    [[3], { service: 'c', destination: 'x', cause: 'timeout' }],
  ]);
});

test('an update has the changed parts only; an unknown version gets all of them', () => {
  const versions = new PageVersions();
  const record = (...texts: string[]) =>
    versions.update(texts.map((text) => ({ id: text[0]!, html: html`${text}` })));
  record('a1', 'b1');
  const first = versions.token;
  record('a1', 'b2', 'c1');
  expect(versions.since(first)).toEqual({
    version: versions.token,
    order: ['a', 'b', 'c'],
    parts: { b: 'b2', c: 'c1' },
  });
  record('c1');
  const last = versions.since(first);
  expect([last.order, last.parts]).toEqual([['c'], { c: 'c1' }]);
  const same = versions.token;
  record('c1');
  expect(versions.token).toBe(same);
  expect(versions.since(same).parts).toEqual({});
  for (const token of ['', 'x', 'x-1', `${first}9999999`, '__proto__', `${first.split('-')[0]}--1`])
    expect([token, versions.knows(token)]).toEqual([token, false]);
  expect(versions.since('other-1').parts).toEqual({ c: 'c1' });
  for (let i = 0; i < 100; i++) record(`c${i}`);
  expect(versions.knows(first)).toBe(false);
});
