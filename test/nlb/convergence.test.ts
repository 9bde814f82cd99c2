/** Hosts agree, whatever happens to their heartbeats. */
import { describe, expect, test } from 'vitest';
import {
  type Host,
  MISSED,
  nameEachOther,
  owners,
  PERIOD,
  type Random,
  randomOf,
  Segment,
  shared,
} from './segment.ts';

/** Seeds of 1,000 schedules for each property, in parts. */
const PARTS = Array.from({ length: 10 }, (_, i): [number, number] => [100 * i + 1, 100 * i + 100]);
const LOSS_TIME = MISSED * PERIOD;

/** Runs the checks after each event in which a host's places changed. */
function guard(segment: Segment, check: () => string[]): string[] {
  const found: string[] = [];
  segment.check = () => {
    if (found.length < 3) found.push(...check());
  };
  return found;
}

/** Everything works again: hosts that run receive each other, and the others are started. */
function heal(segment: Segment): void {
  segment.cut.clear();
  for (const host of segment.hosts) host.pauses = [];
  Object.assign(segment.network, { loss: 0.05, maxLosses: 1, maxDelay: 5, duplicates: 0.05 });
  for (const host of segment.hosts) if (!host.convergence) segment.start(host);
}

const expectOneOwner = (segment: Segment, seed: number) => {
  for (const rule of [0, 1])
    if (segment.hosts.some(({ weights }) => weights[rule]! > 0))
      expect(
        owners(segment, rule).filter((n) => n !== 1),
        `seed ${seed}, rule ${rule}`,
      ).toEqual([]);
};

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

/** Returns all links between hosts, both directions, as pairs of indices. */
const linksOf = ({ hosts }: Segment): [number, number][] =>
  [...hosts.keys()].flatMap((i) => [...hosts.keys()].map((j) => [i, j] as [number, number]));

/** What happens to hosts. */
const DISTURBANCES: Readonly<Record<string, (segment: Segment, host: Host, random: Random) => void>> = {
  kill: (segment, host) => segment.kill(host),
  start: (segment, host) => {
    if (!host.convergence) segment.start(host);
  },
  restart: (segment, host) => {
    segment.kill(host);
    segment.start(host);
  },
  weigh: (segment, host, random) =>
    segment.weigh(host, [Math.floor(random() * 3) * 40, Math.floor(random() * 3) * 40]),
  visit: (_segment, host, random) => host.visit(...[0, 1].filter(() => random() < 0.5)),
  pause: ({ now }, host, random) => {
    host.pauses = [[now, now + random() * 3 * LOSS_TIME]];
  },
  pauseSeveral: ({ now, hosts }, _host, random) => {
    const lasts = random() * 1.5 * LOSS_TIME;
    for (const host of hosts)
      if (random() < 0.7) host.pauses = [[now + random() * PERIOD, now + lasts + random() * PERIOD]];
  },
  starve: ({ now, hosts }, _host, random) => {
    for (const host of hosts) {
      let at = now;
      host.pauses = Array.from({ length: 10 }, () => {
        const from = at + random() ** 3 * PERIOD;
        at = from + random() * LOSS_TIME;
        return [from, at] as const;
      });
    }
  },
  cut: (segment, _host, random) => {
    const part = segment.hosts.map(() => random() < 0.5);
    for (const [i, j] of linksOf(segment)) if (part[i] !== part[j]) segment.cut.add(`${i}>${j}`);
  },
  deafen: (segment, _host, random) => {
    for (const [i, j] of linksOf(segment)) if (random() < 0.2) segment.cut.add(`${i}>${j}`);
  },
  join: (segment) => segment.cut.clear(),
};

function play(
  seed: number,
  kinds: readonly string[],
  prepare: (segment: Segment, random: Random) => void,
): Segment {
  const random = randomOf(seed);
  const segment = new Segment(random);
  const count = 2 + Math.floor(random() * 4);
  for (let id = 1; id <= count; id++) segment.add(id);
  prepare(segment, random);
  for (const host of segment.hosts) if (random() < 0.8) segment.start(host);
  for (let n = 0; n < 5; n++) {
    segment.run(random() * 2.5 * LOSS_TIME);
    const host = pick(random, segment.hosts);
    DISTURBANCES[pick(random, kinds)]!(segment, host, random);
  }
  return segment;
}

describe('hosts of a cluster', () => {
  test.each(PARTS)(
    'that name each other with the same epoch share no place, and converge (%i to %i)',
    (from, to) => {
      const kinds = Object.keys(DISTURBANCES);
      for (let seed = from; seed <= to; seed++) {
        let found: string[] = [];
        const segment = play(seed, kinds, (on, random) => {
          const maxDelay = random() * 2 * PERIOD;
          Object.assign(on.network, { loss: random() * 0.4, maxDelay, duplicates: random() * 0.3 });
          found = guard(on, () => shared(on, nameEachOther));
        });
        heal(segment);
        segment.run(8 * LOSS_TIME);
        expect(found, `seed ${seed}`).toEqual([]);
        expectOneOwner(segment, seed);
      }
    },
  );

  test.each(PARTS)(
    'share no place at any time while few heartbeats are lost in a row (%i to %i)',
    (from, to) => {
      for (let seed = from; seed <= to; seed++) {
        let found: string[] = [];
        const segment = play(
          seed,
          ['kill', 'start', 'restart', 'weigh', 'visit', 'pause', 'pauseSeveral', 'starve'],
          (on, random) => {
            Object.assign(on.network, {
              loss: random() * 0.4,
              maxLosses: 1,
              maxDelay: PERIOD / 4,
              duplicates: 0.2,
            });
            found = guard(on, () => shared(on));
          },
        );
        heal(segment);
        segment.run(8 * LOSS_TIME);
        expect(found, `seed ${seed}`).toEqual([]);
        expectOneOwner(segment, seed);
      }
    },
  );

  const converged = (count: number) => {
    const segment = new Segment(randomOf(count));
    for (let id = 1; id <= count; id++) segment.start(segment.add(id));
    segment.run(4 * LOSS_TIME);
    expectOneOwner(segment, count);
    return segment;
  };
  const statusOf = ({ hosts }: Segment, i: number) => hosts[i]!.convergence!.status;
  const membersOf = (segment: Segment, i: number) => statusOf(segment, i).view?.members.map(({ id }) => id);
  /** Runs until each place has one owner, and returns how long that took, ms. */
  const untilOwned = (segment: Segment, most: number) => {
    const from = segment.now;
    while (segment.now - from < most) {
      if (owners(segment, 0).every((n) => n === 1)) break;
      segment.run(1);
    }
    return segment.now - from;
  };

  test('take the places of a killed host after the missed heartbeats, and keep theirs', () => {
    for (const victim of [0, 2]) {
      const segment = converged(4);
      const before = segment.hosts.map((host) => host.accepted(0, segment.now));
      segment.kill(segment.hosts[victim]!);
      const kept = guard(segment, () =>
        segment.hosts.flatMap((host, i) => {
          return host.convergence && before[i]! & ~host.accepted(0, segment.now)
            ? [`host ${host.id} gave up a place`]
            : [];
        }),
      );
      expect(untilOwned(segment, 5 * LOSS_TIME)).toBeLessThanOrEqual(LOSS_TIME + PERIOD);
      expect(kept).toEqual([]);
    }
  });

  test('leave no place without owner for longer than a heartbeat travels when one joins or drains', () => {
    const segment = converged(3);
    let gap = 0;
    let since: number | undefined;
    segment.check = () => {
      since = owners(segment, 0).every((n) => n === 1) ? undefined : (since ?? segment.now);
      gap = Math.max(gap, segment.now - (since ?? segment.now));
    };
    segment.start(segment.add(4));
    segment.run(4 * LOSS_TIME);
    expect(membersOf(segment, 0)).toEqual([1, 2, 3, 4]);
    segment.weigh(segment.hosts[1]!, [0, 50]);
    segment.run(LOSS_TIME);
    expect(segment.hosts[1]!.accepted(0, segment.now)).toBe(0);
    // The travel of the fastest heartbeat, and the difference of the clocks' rates.
    expect(gap).toBeLessThan(2);
  });

  test('keep clients that were seen lately, until they are not, or the host drains', () => {
    const acceptedBy = (segment: Segment) => segment.hosts.map((host) => host.accepted(1, segment.now));
    for (const end of ['idle', 'drain'] as const) {
      const segment = new Segment(randomOf(5));
      segment.start(segment.add(1));
      segment.run(4 * LOSS_TIME);
      const first = segment.hosts[0]!;
      first.visit(0, 1);
      const before = acceptedBy(segment)[0]!;
      // Of two others, one at least owns a group.
      for (const id of [2, 3]) segment.start(segment.add(id));
      segment.run(4 * LOSS_TIME);
      expect(membersOf(segment, 0)).toEqual([1, 2, 3]);
      expect(acceptedBy(segment)).toEqual([before, 0, 0]);
      if (end === 'idle') first.visit();
      else segment.weigh(first, [50, 0]);
      segment.run(2 * LOSS_TIME);
      expect(acceptedBy(segment)[0]).not.toBe(before);
      expectOneOwner(segment, 5);
    }
  });

  test.each([0.5, 0.8, 0.95, 1.1, 2, 10])(
    'go on at once when all of them were paused for %d times the missed heartbeats',
    (times) => {
      for (const among of [[0, 1, 2], [0, 1], [2]]) {
        // The others take the places of some that are paused for longer.
        if (among.length < 3 && times >= 0.9) continue;
        const segment = converged(3);
        const boots = () => segment.hosts.map((_, i) => statusOf(segment, i).view?.members[i]?.boot);
        const before = boots();
        const end = segment.now + times * LOSS_TIME;
        for (const i of among) segment.hosts[i]!.pauses = [[segment.now, end + i * 10]];
        segment.run(end + 20 - segment.now);
        expect(untilOwned(segment, LOSS_TIME)).toBeLessThan(2 * PERIOD);
        expect(boots()).toEqual(before);
      }
    },
  );

  test('join again after a pause in which another host took over', () => {
    const segment = converged(2);
    const [first, second] = segment.hosts as [Host, Host];
    segment.kill(second);
    segment.run(3 * LOSS_TIME);
    first.pauses = [[segment.now, segment.now + 6 * LOSS_TIME]];
    segment.start(second);
    const found = guard(segment, () => shared(segment));
    segment.run(5 * LOSS_TIME);
    expect(membersOf(segment, 1)).toEqual([2]);
    segment.run(6 * LOSS_TIME);
    expect([found, membersOf(segment, 0), membersOf(segment, 1)]).toEqual([[], [1, 2], [1, 2]]);
    expectOneOwner(segment, 0);
  });

  test('form a cluster in each part of a cut segment, and one again afterwards', () => {
    const segment = converged(4);
    for (const [a, b] of [0, 1].flatMap((i) => [2, 3].map((j) => [i, j])))
      segment.cut.add(`${a}>${b}`).add(`${b}>${a}`);
    segment.run(3 * LOSS_TIME);
    expect([membersOf(segment, 0), membersOf(segment, 3)]).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(owners(segment, 0).every((n) => n === 2)).toBe(true);
    segment.cut.clear();
    segment.run(3 * LOSS_TIME);
    expect(membersOf(segment, 3)).toEqual([1, 2, 3, 4]);
    expectOneOwner(segment, 0);
  });

  test('stop where the others do not receive them', () => {
    const segment = converged(3);
    for (const to of [1, 2]) segment.cut.add(`0>${to}`);
    segment.run(3 * LOSS_TIME);
    expect(statusOf(segment, 0).state).toBe('muted');
    expect(membersOf(segment, 1)).toEqual([2, 3]);
    expectOneOwner(segment, 0);
  });

  test('refuse a second host with an id, which serves nothing', () => {
    const segment = converged(3);
    const twin = segment.add(2);
    segment.start(twin);
    segment.run(3 * LOSS_TIME);
    expect([1, 3].map((i) => statusOf(segment, i).state)).toEqual(['active', 'duplicate']);
    expect(membersOf(segment, 0)).toEqual([1, 2, 3]);
    expectOneOwner(segment, 0);
    segment.kill(segment.hosts[1]!);
    segment.run(4 * LOSS_TIME);
    expect(statusOf(segment, 3).state).toBe('active');
    expectOneOwner(segment, 0);
  });

  test('accept no recorded heartbeat of a host that is lost', () => {
    const segment = converged(2);
    const [first, second] = segment.hosts as [Host, Host];
    const recorded = second.sent;
    segment.kill(second);
    segment.run(3 * LOSS_TIME);
    for (const beat of recorded) first.convergence!.receive(beat, first.clock(segment.now));
    expect(statusOf(segment, 0).peers).toEqual([]);
  });

  test('with another configuration do not join while the others serve', () => {
    const segment = converged(2);
    const other = segment.add(3);
    other.configuration = 8;
    segment.start(other);
    segment.run(4 * LOSS_TIME);
    expect([statusOf(segment, 2).state, membersOf(segment, 2)]).toEqual(['mismatch', undefined]);
    expectOneOwner(segment, 0);
  });
});
