/** What a director does for servers that join. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Announcement, Place, ServerState } from '../../src/join/member.ts';
import { Membership, type Step } from '../../src/join/membership.ts';
import type { JoinPolicy, ServicePolicy } from '../../src/join/policy.ts';
import { formatDestination, formatService } from '../../src/model/naming.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { type Prefix, parsePrefix } from '../../src/wire/prefix.ts';
import { PrefixSet } from '../../src/wire/prefix-set.ts';

const WEB: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const DNS: ServiceAddress = { protocol: 'udp', address: '192.0.2.1', port: 53 };
const PATIENCE = 1000;
const DRAIN = 60_000;
const RUN = '1111111111111111';

const networks = new PrefixSet();
networks.add(parsePrefix('10.0.0.0/24') as Prefix);

const policyOf = (service: ServiceAddress, parts: Partial<ServicePolicy> = {}): ServicePolicy => ({
  ...{ service, options: { method: 'dr' }, maxServers: 100, maxWeight: 100, slowStart: 0, listed: new Set() },
  ...parts,
});
const policy = (services: readonly ServicePolicy[], parts: Partial<JoinPolicy> = {}): JoinPolicy => ({
  services: new Map(services.map((each) => [formatService(each.service), each])),
  ...{ maxServers: 100, networks, vips: new Set(['192.0.2.1']), drain: DRAIN, patience: PATIENCE },
  ...parts,
});

const placeOf = (i: number, service = WEB, weight = 100): Place => ({
  ...{ service, weight },
  destination: { address: `10.0.0.${i}`, port: 80 },
});

let now = 0;
let events: string[] = [];
let membership: Membership;
/** Endpoints with connections, and those whose checks fail. */
let busy: Set<string>;
let down: Set<string>;
/** The director: weights by destination. */
let rules: Map<string, number>;

beforeEach(() => {
  now = 1_000_000;
  events = [];
  busy = new Set();
  down = new Set();
  rules = new Map();
  membership = new Membership({
    changed: (server, state, services) => events.push(`${server} ${state} ${services.length}`),
    refused: (server, why, what) => events.push(`${server} refused ${why} ${what}`),
  });
  membership.configure(policy([policyOf(WEB)]), now);
});

const say = (i: number, state: ServerState = 'up', parts: Partial<Announcement> = {}): boolean =>
  membership.announce({ node: `rs${i}`, run: RUN, state, places: [placeOf(i)], ...parts }, now);

/** Carries the steps out, as a director does. */
function step(): Step[] {
  const steps = membership.steps(now, {
    isIdle: ({ destination }) => !busy.has(destination.address),
    isDown: ({ destination }) => down.has(destination.address),
  });
  for (const { kind, placement, weight } of steps) {
    const key = formatDestination(placement.destination);
    expect(rules.has(key)).toBe(kind !== 'add');
    if (kind === 'remove') rules.delete(key);
    else rules.set(key, weight);
  }
  return steps;
}
function wait(ms: number): void {
  for (const end = now + ms; now < end; ) {
    now += 100;
    step();
  }
}
const weights = () => Object.fromEntries(rules);

describe('a server', () => {
  test('joins, changes its weight, drains and leaves', () => {
    expect(say(3, 'joining')).toBe(true);
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 0 });
    say(3);
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 100 });
    say(3, 'up', { places: [placeOf(3, WEB, 40)] });
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 40 });
    busy.add('10.0.0.3');
    say(3, 'draining');
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 0 });
    say(3, 'leaving');
    wait(1000);
    expect(weights()).toEqual({ '10.0.0.3:80': 0 });
    busy.clear();
    wait(100);
    expect(weights()).toEqual({});
    expect(membership.has('rs3')).toBe(false);
    expect(events).toEqual(['rs3 joining 1', 'rs3 up 1', 'rs3 draining 1', 'rs3 leaving 1']);
  });

  test('is removed after the drain time despite its connections', () => {
    say(3);
    step();
    busy.add('10.0.0.3');
    say(3, 'leaving');
    wait(DRAIN - 100);
    expect(weights()).toEqual({ '10.0.0.3:80': 0 });
    wait(200);
    expect(weights()).toEqual({});
  });

  test('grows to its weight by the slow start, and again after it was away', () => {
    membership.configure(policy([policyOf(WEB, { slowStart: 10_000 })]), now);
    say(3);
    const seen: number[] = [];
    for (let i = 0; i < 12; i++) {
      step();
      seen.push(rules.get('10.0.0.3:80')!);
      now += 1000;
    }
    expect(seen).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100, 100]);
    say(3, 'draining');
    step();
    say(3);
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 10 });
  });

  test('that has other places leaves the former ones', () => {
    membership.configure(policy([policyOf(WEB), policyOf(DNS)]), now);
    say(3, 'up', { places: [placeOf(3), placeOf(3, DNS)] });
    expect(step()).toHaveLength(2);
    say(3, 'up', { places: [placeOf(3)] });
    // With direct routing the port is that of the service.
    expect(step()).toMatchObject([{ kind: 'remove', placement: { destination: { port: 53 } } }]);
    expect(membership.find(WEB, { address: '10.0.0.3', port: 80 })).toBeDefined();
  });

  test('of another run replaces the former one, at once if the address is the same', () => {
    say(3);
    step();
    expect(say(3, 'up', { run: 'other', places: [placeOf(4)] })).toBe(false);
    expect(events.at(-1)).toBe('rs3 refused duplicate rs3');
    expect(say(3, 'up', { run: 'next' })).toBe(true);
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 100 });
    membership.lose('rs3', now);
    expect(say(3, 'up', { run: 'moved', places: [placeOf(4)] })).toBe(true);
    wait(100);
    expect(weights()).toEqual({ '10.0.0.4:80': 100 });
  });

  test('that was removed with ipvsadm joins again with its next run only', () => {
    say(3);
    const [{ placement }] = step() as [Step];
    placement.isRemoved = true;
    rules.clear();
    say(3, 'up', { places: [placeOf(3, WEB, 5)] });
    step();
    expect(weights()).toEqual({});
    say(3, 'up', { run: 'next' });
    step();
    expect(weights()).toEqual({ '10.0.0.3:80': 100 });
  });
});

describe('limits', () => {
  test('of addresses, services, weights and destinations of the file', () => {
    membership.configure(policy([policyOf(WEB, { listed: new Set(['10.0.0.9:80']) })]), now);
    const at = (address: string): Place => ({ ...placeOf(1), destination: { address, port: 80 } });
    for (const address of ['10.0.1.3', '192.0.2.1', '127.0.0.1', '224.0.0.1', '2001:db8::1', '0.0.0.0'])
      expect(say(1, 'up', { places: [at(address)] })).toBe(false);
    expect(say(1, 'up', { places: [at('10.0.0.9')] })).toBe(false);
    expect(say(1, 'up', { places: [placeOf(1, DNS)] })).toBe(false);
    expect(membership.refusals).toEqual({ address: 6, taken: 1, service: 1, limit: 0, duplicate: 0 });
    expect(step()).toEqual([]);
    say(2, 'up', { places: [placeOf(2, WEB, 65_535)] });
    step();
    expect(weights()).toEqual({ '10.0.0.2:80': 100 });
    expect(say(5, 'up', { places: [placeOf(2)] })).toBe(false);
    expect(membership.refusals.taken).toBe(2);
  });

  test('of servers, in one service and in all', () => {
    membership.configure(policy([policyOf(WEB, { maxServers: 3 }), policyOf(DNS)], { maxServers: 5 }), now);
    for (let i = 1; i <= 100; i++) say(i, 'up', { places: [placeOf(i), placeOf(i, DNS)] });
    step();
    expect([...membership.servers]).toHaveLength(5);
    expect(Object.keys(weights())).toHaveLength(3 + 5);
    expect(membership.refusals.limit).toBe(95 + 2);
  });

  test('of another configuration end what they do not allow, and leave what the file has to the file', () => {
    say(3);
    say(4);
    say(5);
    step();
    busy.add('10.0.0.3');
    const others = new PrefixSet();
    others.add(parsePrefix('10.0.0.4/31') as Prefix);
    const listed = new Set(['10.0.0.5:80']);
    membership.configure(policy([policyOf(WEB, { listed })], { networks: others }), now);
    expect(step().map(({ kind, weight }) => [kind, weight])).toEqual([['edit', 0]]);
    expect(membership.find(WEB, { address: '10.0.0.5', port: 80 })).toBeUndefined();
    membership.configure(policy([]), now);
    busy.clear();
    wait(100);
    expect(weights()).toEqual({ '10.0.0.5:80': 100 });
  });
});

describe('lost servers', () => {
  const all = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
  const joined = (count: number) => {
    for (const i of all(count)) say(i);
    step();
  };
  const lose = (...servers: readonly number[]) => {
    for (const i of servers) membership.lose(`rs${i}`, now);
  };
  const of = (weight: number) => [...rules.values()].filter((each) => each === weight).length;

  test('that are few get weight 0, and are removed when it is sure that they are few', () => {
    joined(5);
    lose(2);
    wait(PATIENCE - 100);
    expect(of(100)).toBe(5);
    wait(200);
    expect(rules.get('10.0.0.2:80')).toBe(0);
    expect(events.at(-1)).toBe('rs2 silent 1');
    wait(8000);
    expect(rules.size).toBe(5);
    wait(2000);
    expect(rules.size).toBe(4);
  });

  test('that return in time stay as they are, later with a slow start', () => {
    joined(5);
    lose(2);
    wait(PATIENCE - 100);
    say(2);
    wait(5000);
    expect(of(100)).toBe(5);
    lose(2);
    wait(PATIENCE + 100);
    expect(of(0)).toBe(1);
    say(2);
    wait(100);
    expect(of(100)).toBe(5);
  });

  test('of etcd are lost by etcd alone, and a failure of several has 2.5 s to become known', () => {
    joined(5);
    for (const i of [2, 3, 4, 5]) say(i, 'up', { source: 'etcd' });
    lose(2);
    wait(PATIENCE + 100);
    expect(of(100)).toBe(5);
    membership.lose('rs1', now, 'etcd');
    membership.lose('rs2', now, 'etcd');
    wait(2400);
    expect(of(100)).toBe(5);
    wait(200);
    expect(rules.get('10.0.0.2:80')).toBe(0);
    expect(of(100)).toBe(4);
  });

  test('that are most of a service are all kept, at once or one after the other within 10 s', () => {
    joined(50);
    for (let i = 1; i <= 40; i++) {
      lose(i);
      wait(100);
    }
    wait(60_000);
    expect(of(100)).toBe(50);
    expect(membership.massLosses).toBe(1);
    expect(events.filter((each) => each.endsWith(' kept 1')).length).toBeGreaterThan(25);
    for (let i = 1; i <= 40; i++) say(i);
    wait(100);
    expect(events.filter((each) => each.endsWith(' up 1'))).toHaveLength(50 + 40);
  });

  test('that had weight 0 already are kept, too, when they turn out to be most', () => {
    joined(5);
    lose(1, 2);
    wait(PATIENCE + 100);
    expect(of(0)).toBe(2);
    wait(5000);
    lose(3);
    wait(PATIENCE + 100);
    expect(of(100)).toBe(5);
  });

  test('that are most of a service within a longer time are removed', () => {
    joined(5);
    for (const i of [1, 2, 3, 4]) {
      lose(i);
      wait(12_000);
    }
    // The last two are half of the service each: one of two is not most.
    expect(of(100)).toBe(1);
  });

  test('that are kept are removed when their checks have failed for the drain time', () => {
    joined(2);
    lose(1, 2);
    wait(PATIENCE + 100);
    down.add('10.0.0.1');
    wait(DRAIN + 1000);
    expect(weights()).toEqual({ '10.0.0.2:80': 100 });
  });

  test('that drained before are not missed', () => {
    joined(5);
    for (const i of [1, 2, 3, 4]) say(i, 'draining');
    lose(1, 2, 3, 4);
    wait(PATIENCE + 11_000);
    expect(weights()).toEqual({ '10.0.0.5:80': 100 });
    expect(membership.massLosses).toBe(0);
  });

  test('are judged for each service on its own', () => {
    membership.configure(policy([policyOf(WEB), policyOf(DNS)]), now);
    for (const i of all(5)) say(i, 'up', { places: [placeOf(i)] });
    say(9, 'up', { places: [placeOf(9), placeOf(9, DNS)] });
    step();
    lose(9);
    wait(PATIENCE + 100);
    expect(rules.get('10.0.0.9:80')).toBe(0);
    expect(rules.get('10.0.0.9:53')).toBe(100);
  });
});

test('what another process has left goes on, and an end keeps its time', () => {
  const left = {
    ...{ run: RUN, state: 'up' as const, service: WEB, options: { method: 'dr' as const }, weight: 70 },
    ...{ end: undefined, applied: 70 },
  };
  const at = (i: number) => ({ address: `10.0.0.${i}`, port: 80 });
  rules.set('10.0.0.1:80', 70);
  rules.set('10.0.0.2:80', 0);
  busy.add('10.0.0.2');
  membership.restore({ ...left, server: 'rs1', destination: at(1) }, now);
  const end = { earliest: now, latest: now + 5000 };
  membership.restore({ ...left, server: 'rs2', destination: at(2), applied: 0, end }, now);
  membership.restore({ ...left, server: 'rs3', destination: at(3), applied: undefined }, now);
  step();
  expect(weights()).toEqual({ '10.0.0.1:80': 70, '10.0.0.2:80': 0, '10.0.0.3:80': 70 });
  wait(5000);
  expect(weights()).toEqual({ '10.0.0.1:80': 70, '10.0.0.3:80': 70 });
});
