import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Rule, rulesRunning } from '../../../src/config/reload/applied-state.ts';
import { ruleChanges } from '../../../src/config/reload/rule-changes.ts';
import { Director } from '../../../src/director/director.ts';
import type { Command } from '../../../src/model/command.ts';

const host = { transmit: () => false, route: () => undefined, isLocal: () => false };
const director = () => new Director({ host, maxConnections: 1024 });
const rulesOf = (one: Director): Rule[] => rulesRunning({ services: [...one.services(0)] });
/** Order is that of additions, which changes do not restore. */
const sorted = (rules: readonly Rule[]) =>
  rules
    .map((rule) => ({
      ...rule,
      destinations: rule.destinations.toSorted((a, b) => a.address.localeCompare(b.address)),
    }))
    .toSorted((a, b) => JSON.stringify(a.service).localeCompare(JSON.stringify(b.service)));

const services = fc.uniqueArray(
  fc.record({
    port: fc.integer({ min: 1, max: 5 }),
    scheduler: fc.constantFrom('rr', 'wrr', 'lc'),
    servers: fc.uniqueArray(
      fc.record({ last: fc.integer({ min: 1, max: 5 }), weight: fc.integer({ min: 0, max: 3 }) }),
      {
        selector: ({ last }) => last,
      },
    ),
  }),
  { selector: ({ port }) => port },
);
type Services = typeof services extends fc.Arbitrary<infer T> ? T : never;

const commandsOf = (wanted: Services): Command[] =>
  wanted.flatMap(({ port, scheduler, servers }) => {
    const service = { protocol: 'tcp', address: '192.0.2.1', port } as const;
    return [
      { op: 'add-service', service, options: { scheduler } } as const,
      ...servers.map(
        ({ last, weight }) =>
          ({
            op: 'add-destination',
            service,
            destination: { address: `198.51.100.${last}`, port },
            options: { method: 'nat', weight },
          }) as const,
      ),
    ];
  });

test('the commands turn any rules into any others, and none are needed between the same ones', async () => {
  await fc.assert(
    fc.asyncProperty(services, services, async (from, to) => {
      const [one, other] = [director(), director()];
      for (const command of commandsOf(from)) one.apply(command, 0);
      for (const command of commandsOf(to)) other.apply(command, 0);
      for (const command of await ruleChanges(rulesOf(one), rulesOf(other))) one.apply(command, 0);
      expect(sorted(rulesOf(one))).toEqual(sorted(rulesOf(other)));
      expect(await ruleChanges(rulesOf(one), rulesOf(other))).toEqual([]);
    }),
    { numRuns: 50 },
  );
});
