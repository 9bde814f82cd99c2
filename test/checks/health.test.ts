import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Health } from '../../src/checks/health.ts';
import type { Observation } from '../../src/checks/probe.ts';
import type { Check } from '../../src/model/check.ts';

/** A check; say only what the test is about. */
const check = (partial: Partial<Check> = {}): Check => ({
  type: 'tcp',
  interval: 1,
  timeout: 1,
  fall: 3,
  rise: 2,
  maxStep: 20,
  slowStart: 0,
  ...partial,
});
const good: Observation = { healthy: true, message: 'connected' };
const bad: Observation = { healthy: false, message: 'connection refused' };
const agent = (words: Observation['agent']): Observation => ({
  healthy: words?.health !== 'down',
  message: 'agent',
  ...(words && { agent: words }),
});

describe('a health check', () => {
  test('marks a server down after the configured number of failures in a row, and up after as many successes as configured', () => {
    const health = new Health([check()], 0);
    const seen = [bad, bad, good, bad, bad, bad, good, bad, good, good].map((each, i) => {
      health.observe(each, i);
      return health.state;
    });
    expect(seen).toEqual(['up', 'up', 'up', 'up', 'up', 'down', 'down', 'down', 'down', 'up']);
    expect([health.since, health.message]).toEqual([9, 'connected']);
  });

  test('gives weight 0 to a server that is down, and the configured weight to one that is up', () => {
    const health = new Health([check({ fall: 1 })], 0);
    expect(health.weight(5, 0)).toBe(5);
    health.observe(bad, 1);
    expect(health.weight(5, 1)).toBe(0);
  });

  test('keeps a configured weight of 0', () => expect(new Health([check()], 0).weight(0, 0)).toBe(0));

  test('continues from the known state when the check is replaced', () => {
    const health = new Health([check({ fall: 1 })], 0);
    health.observe(bad, 1);
    expect(new Health([check({ interval: 9 })], 2, health).state).toBe('down');
  });
});

describe('several checks', () => {
  const two = (partial: Partial<Check> = {}) =>
    new Health([check({ fall: 1, rise: 1, ...partial }), check({ type: 'http', fall: 2, rise: 2 })], 0);

  test('mark a server down when one of them has failed, and up when all have passed', () => {
    const health = two();
    const seen = (
      [
        [0, bad],
        [1, good],
        [1, bad],
        [0, good],
        [1, bad],
        [0, good],
        [1, good],
        [1, good],
      ] as const
    ).map(([position, each], i) => {
      health.observe(each, i, position);
      return `${health.state} ${health.type}`;
    });
    expect(seen).toEqual([
      ...['down tcp', 'down tcp', 'down tcp', 'up http', 'down http', 'down http', 'down http', 'up tcp'],
    ]);
    expect(health.since).toBe(7);
  });

  test('keep their own results when one is added, and the state when the failed one is removed', () => {
    const health = two();
    health.observe(bad, 0, 0);
    const [first, second] = [check({ fall: 1, rise: 1 }), check({ type: 'http', fall: 2, rise: 2 })];
    const more = new Health([first, second, check({ type: 'udp' })], 1, health);
    more.observe(good, 1, 0);
    expect(more.state).toBe('up');
    const fewer = new Health([second], 1, health);
    expect(fewer.state).toBe('down');
    fewer.observe(good, 2);
    fewer.observe(good, 3);
    expect(fewer.state).toBe('up');
  });

  test('grow by the longest slow start, when the last of them has passed', () => {
    const health = two({ slowStart: 10 });
    health.observe(bad, 0, 0);
    health.observe(bad, 0, 1);
    health.observe(bad, 0, 1);
    health.observe(good, 0, 0);
    expect(health.state).toBe('down');
    health.observe(good, 0, 1);
    health.observe(good, 5000, 1);
    expect([health.state, health.weight(10, 10_000)]).toEqual(['growing', 5]);
  });

  test('add what each reports of the weight, which 0 of the configuration keeps', () => {
    const health = new Health([check({ type: 'command', dynamic: true }), check({ dynamic: true })], 0);
    const reported = (weight: number): Observation => ({ healthy: true, message: '', agent: { weight } });
    health.observe(reported(8), 0, 0);
    expect(health.weight(5, 0)).toBe(8);
    health.observe(reported(3), 0, 1);
    expect([health.weight(5, 0), health.weight(0, 0)]).toEqual([6, 0]);
    health.observe(reported(0), 0, 0);
    health.observe(reported(0), 0, 1);
    expect([health.weight(5, 0), health.state]).toEqual([0, 'up']);
    health.observe(good, 0, 0);
    expect(health.weight(5, 0)).toBe(0);
    for (const position of [0, 1])
      health.observe({ healthy: true, message: '', agent: { weight: 'configured' } }, 0, position);
    expect(health.weight(5, 0)).toBe(5);
  });
});

describe('slow start', () => {
  test('raises a returning server from weight 1 to the configured weight', () => {
    const health = new Health([check({ fall: 1, rise: 1, slowStart: 10 })], 0);
    health.observe(bad, 0);
    health.observe(good, 1000);
    expect(health.state).toBe('growing');
    expect([0, 2000, 5000, 9900].map((after) => health.weight(100, 1000 + after))).toEqual([1, 20, 50, 99]);
    expect(health.tick(10_999)).toBe(false);
    expect(health.tick(11_000)).toBe(true);
    expect([health.state, health.weight(100, 11_000)]).toEqual(['up', 100]);
  });

  test('gives weight 0 to a server that fails while its weight grows', () => {
    const health = new Health([check({ fall: 1, rise: 1, slowStart: 10 })], 0);
    for (const each of [bad, good, bad]) health.observe(each, 0);
    expect([health.state, health.weight(100, 5000)]).toEqual(['down', 0]);
  });

  test('does not apply to a server that was up from the beginning', () =>
    expect(new Health([check({ slowStart: 10 })], 0).weight(100, 0)).toBe(100));
});

describe('an agent', () => {
  const listened = (...words: Observation['agent'][]) => {
    const health = new Health([check({ type: 'agent' })], 0);
    const weights = words.map((each) => {
      health.observe(agent(each), 0);
      return health.weight(200, 0);
    });
    return { health, weights };
  };

  test('moves the weight by bounded steps', () =>
    expect(listened(...Array(5).fill({ percent: 30 })).weights).toEqual([160, 120, 80, 60, 60]));

  test('does not move it for a small difference, but reaches the limits', () =>
    expect(listened({ percent: 96 }, { percent: 90 }, { percent: 93 }, { percent: 100 }).weights).toEqual([
      200, 180, 180, 200,
    ]));

  test('takes effect at once when it reports down or up', () => {
    const { health, weights } = listened({ health: 'down' }, { health: 'up' });
    expect(weights).toEqual([0, 200]);
    expect(health.state).toBe('up');
  });

  test('keeps a server drained until it reports ready', () => {
    const { health, weights } = listened(
      { admin: 'drain' },
      { percent: 100 },
      { health: 'up' },
      { admin: 'ready' },
    );
    expect(weights).toEqual([0, 0, 0, 200]);
    expect(health.state).toBe('up');
  });

  test('that does not answer takes the server out after the configured number of failures', () => {
    const { health } = listened();
    for (let i = 0; i < 3; i++) health.observe({ healthy: false, message: 'no answer in 1 s' }, i);
    expect([health.state, health.weight(200, 3)]).toEqual(['down', 0]);
  });
});

test('after any observations, the weight is between 0 and the configured one, and 0 only when the server accepts nothing', () => {
  const words = fc.record(
    {
      health: fc.constantFrom('up' as const, 'down' as const),
      admin: fc.constantFrom('ready' as const, 'drain' as const),
      percent: fc.integer({ min: 0, max: 100 }),
    },
    { requiredKeys: [] },
  );
  const observation = fc.record(
    { healthy: fc.boolean(), message: fc.constant('x'), agent: words },
    { requiredKeys: ['healthy', 'message'] },
  );
  fc.assert(
    fc.property(
      fc.array(observation),
      fc.nat({ max: 1000 }),
      fc.nat({ max: 30 }),
      (all, configured, slowStart) => {
        const health = new Health([check({ type: 'agent', slowStart })], 0);
        let now = 0;
        for (const each of all) {
          health.observe(each, now);
          health.tick(now);
          const weight = health.weight(configured, now);
          expect(weight >= 0 && weight <= configured).toBe(true);
          if (health.state === 'down' || health.state === 'drained') expect(weight).toBe(0);
          now += 700;
        }
      },
    ),
  );
});
