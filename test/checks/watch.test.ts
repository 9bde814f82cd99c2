import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { ServiceEvent } from '../../src/checks/members.ts';
import type { Policy } from '../../src/checks/policy.ts';
import type { Observation, Target } from '../../src/checks/probe.ts';
import { type HealthEvent, Watch, type Watched } from '../../src/checks/watch.ts';
import type { Check } from '../../src/model/check.ts';
import type { Command } from '../../src/model/command.ts';
import type { ServiceAddress } from '../../src/model/service.ts';

const check: Check = { type: 'tcp', interval: 2, timeout: 1, fall: 2, rise: 1, maxStep: 20, slowStart: 0 };
const service: ServiceAddress = { protocol: 'tcp', address: '192.0.2.1', port: 80 };
const destination = { address: '10.0.0.1', port: 8080 };
const watched = (partial: Partial<Check> = {}, n = 1): Watched => ({
  service,
  destination: { ...destination, address: `10.0.0.${n}` },
  checks: [{ ...check, ...partial }],
});
const add = (weight: number, n = 1): Command => ({
  op: 'add-destination',
  service,
  destination: { ...destination, address: `10.0.0.${n}` },
  options: { method: 'nat', weight, upperThreshold: 9 },
});

/** A watch whose probes return what the test sets, and whose clock the test advances. */
class Watching {
  readonly commands: Command[] = [];
  readonly events: HealthEvent[] = [];
  readonly quorums: ServiceEvent[] = [];
  /** What services are at the start. */
  readonly firsts: string[] = [];
  readonly services: ServiceEvent['event'][] = [];
  readonly targets: Target[] = [];
  readonly aborted: string[] = [];
  readonly pending: ((found: Observation) => void)[] = [];
  finds: Observation | undefined = { healthy: true, message: 'connected' };
  fails: Error | undefined;
  readonly watch: Watch;
  now = 0;

  constructor(most = 64) {
    this.watch = new Watch({
      maxRunning: most,
      random: () => 0,
      apply: (commands) => this.commands.push(...commands),
      event: (event) => this.events.push(event),
      serviceEvent: (event) => {
        if (event.isFirst) this.firsts.push(event.event);
        else if (event.event.startsWith('quorum')) this.quorums.push(event);
        else this.services.push(event.event);
      },
      probe: (target, signal) => {
        this.targets.push(target);
        signal.addEventListener('abort', () => this.aborted.push(target.address));
        if (this.fails) throw this.fails;
        if (this.finds) return Promise.resolve(this.finds);
        return new Promise((resolve) => this.pending.push(resolve));
      },
    });
  }

  /** Until `to` ms, with a tick each 100 ms. */
  async pass(to: number): Promise<void> {
    for (; this.now <= to; this.now += 100) {
      this.watch.tick(this.now);
      await nextTurn();
    }
  }

  get weights(): (number | undefined)[] {
    return this.commands.map((each) => (each.op === 'edit-destination' ? each.options.weight : undefined));
  }
}

const refused: Observation = { healthy: false, message: 'connection refused' };

describe('a watched destination', () => {
  test('stays as it is while checks cannot run for lack of descriptors', async () => {
    const watching = new Watching();
    await watching.watch.set([watched({ fall: 1 })], 0);
    watching.watch.adjust(add(5), 0);
    await watching.pass(1000);
    watching.finds = { healthy: false, message: 'too many open files', isInconclusive: true };
    await watching.pass(9000);
    expect(watching.commands).toEqual([]);
    watching.finds = refused;
    await watching.pass(12_000);
    expect(watching.weights).toEqual([0]);
  });

  test('is quiesced after failures in a row, and gets its weight back after recovery', async () => {
    const watching = new Watching();
    await watching.watch.set([watched()], 0);
    expect(watching.watch.adjust(add(5), 0)).toEqual(add(5));
    await watching.pass(1000);
    watching.finds = refused;
    await watching.pass(3900);
    expect(watching.commands).toEqual([]);
    await watching.pass(5000);
    expect(watching.commands).toEqual([
      {
        op: 'edit-destination',
        service,
        destination,
        options: { method: 'nat', weight: 0, upperThreshold: 9 },
      },
    ]);
    expect(watching.watch.stateOf(service, destination, 5000)).toEqual({
      type: 'tcp',
      state: 'down',
      since: 1,
      message: 'connection refused',
      weight: 5,
    });
    watching.finds = { healthy: true, message: 'connected' };
    await watching.pass(7000);
    expect(watching.weights).toEqual([0, 5]);
    expect(watching.events).toEqual([
      { service, destination, from: 'up', to: 'down', weight: 0, cause: 'connection refused' },
      { service, destination, from: 'down', to: 'up', weight: 5, cause: 'connected' },
    ]);
  });

  test('whose check cannot be run is down, with the reason', async () => {
    const watching = new Watching();
    await watching.watch.set([watched({ fall: 1 })], 0);
    watching.watch.adjust(add(1), 0);
    watching.fails = new TypeError('Request path contains unescaped characters');
    await watching.pass(100);
    expect(watching.events).toMatchObject([{ to: 'down', cause: watching.fails.message }]);
    watching.fails = undefined;
    await watching.pass(2100);
    expect(watching.events).toMatchObject([{ to: 'down' }, { to: 'up' }]);
  });

  test('is checked at the retry interval after a failure, until it is down', async () => {
    const watching = new Watching();
    await watching.watch.set([watched({ interval: 5, retryInterval: 1, fall: 3 })], 0);
    watching.watch.adjust(add(1), 0);
    await watching.pass(4900);
    expect(watching.targets).toHaveLength(1);
    watching.finds = refused;
    await watching.pass(6900); // at 5, 6 s
    expect([watching.targets.length, watching.events]).toEqual([3, []]);
    await watching.pass(11_900); // at 7 s, which is the third failure, and not before 12 s again
    expect([watching.targets.length, watching.events.length]).toEqual([4, 1]);
    await watching.pass(12_000);
    expect(watching.targets).toHaveLength(5);
  });

  test('is checked at the configured address and port', async () => {
    const watching = new Watching();
    await watching.watch.set([watched(), watched({ port: 99 }, 2)], 0);
    for (const n of [1, 2]) watching.watch.adjust(add(1, n), 0);
    await watching.pass(0);
    expect(watching.targets.map(({ address, port, virtual }) => [address, port, virtual])).toEqual([
      ['10.0.0.1', 8080, '192.0.2.1'],
      ['10.0.0.2', 99, '192.0.2.1'],
    ]);
  });

  test('is not checked while it is missing from the director', async () => {
    const watching = new Watching();
    await watching.watch.set([watched()], 0);
    await watching.pass(5000);
    expect(watching.targets).toEqual([]);
    watching.watch.adjust(add(1), 0);
    watching.watch.adjust({ op: 'delete-service', service }, 0);
    await watching.pass(9000);
    expect(watching.targets).toEqual([]);
    expect(watching.watch.stateOf(service, destination, 0)).toBeUndefined();
  });

  test('that is down stays quiesced when an operator edits it, and returns with the edited weight', async () => {
    const watching = new Watching();
    await watching.watch.set([watched()], 0);
    watching.watch.adjust(add(5), 0);
    watching.finds = refused;
    await watching.pass(3000);
    const edit = { ...add(7), op: 'edit-destination' } as Command;
    expect(watching.watch.adjust(edit, 3000)).toMatchObject({ options: { weight: 0 } });
    watching.finds = { healthy: true, message: 'connected' };
    await watching.pass(5000);
    expect(watching.weights).toEqual([0, 7]);
  });

  test('with several checks is in service while all of them pass, each at its own times', async () => {
    const watching = new Watching();
    const checks = [
      { ...check, fall: 1 },
      { ...check, fall: 1, type: 'udp', port: 53, interval: 5 },
    ] as const;
    await watching.watch.set([{ service, destination, checks }], 0);
    watching.watch.adjust(add(5), 0);
    await watching.pass(10_000);
    const count = (type: Check['type']) => watching.targets.filter((each) => each.check.type === type).length;
    expect([count('tcp'), count('udp')]).toEqual([6, 3]);
    watching.finds = refused;
    await watching.pass(12_000);
    expect(watching.watch.stateOf(service, destination, 12_000)).toMatchObject({
      type: 'tcp',
      state: 'down',
    });
    await watching.pass(15_000);
    watching.finds = { healthy: true, message: 'connected' };
    await watching.pass(19_000);
    expect(watching.watch.stateOf(service, destination, 19_000)).toMatchObject({
      type: 'udp',
      state: 'down',
    });
    await watching.pass(21_000);
    expect(watching.weights).toEqual([0, 5]);
  });

  test('has the weight that its command reports, and counts with it for the quorum', async () => {
    const watching = new Watching();
    await watching.watch.set([watched({ type: 'command', dynamic: true })], 0);
    watching.watch.adjust(add(5), 0);
    watching.finds = { healthy: true, message: 'weight 9', agent: { weight: 9 } };
    await watching.pass(1000);
    watching.finds = { healthy: true, message: 'weight 0', agent: { weight: 0 } };
    await watching.pass(3000);
    watching.finds = { healthy: true, message: 'status 0' };
    await watching.pass(6000);
    expect(watching.weights).toEqual([9, 0]);
    expect(watching.events.map(({ to, weight }) => `${to} ${weight}`)).toEqual(['up 9', 'up 0']);
  });

  test('grows in weight when slow start is configured', async () => {
    const watching = new Watching();
    await watching.watch.set([watched({ slowStart: 4, fall: 1 })], 0);
    watching.watch.adjust(add(100), 0);
    watching.finds = refused;
    await watching.pass(100);
    watching.finds = { healthy: true, message: 'connected' };
    await watching.pass(8000);
    expect(watching.weights).toEqual([0, 1, 25, 50, 75, 100]);
    expect(watching.events.map(({ to }) => to)).toEqual(['down', 'growing', 'up']);
  });

  test('keeps its state when the same check is set again, and gets its weight back when the check is removed', async () => {
    const watching = new Watching();
    await watching.watch.set([watched()], 0);
    watching.watch.adjust(add(5), 0);
    watching.finds = refused;
    await watching.pass(3000);
    expect(await watching.watch.set([watched()], 3000)).toEqual([]);
    expect(await watching.watch.set([watched({ timeout: 2 })], 3000)).toEqual([]);
    expect(watching.watch.stateOf(service, destination, 3000)?.state).toBe('down');
    expect(await watching.watch.set([], 3000)).toMatchObject([
      { op: 'edit-destination', options: { weight: 5 } },
    ]);
    await watching.pass(9000);
    expect(watching.watch.stateOf(service, destination, 9000)).toBeUndefined();
  });

  test('whose weight follows an agent is reported at each change', async () => {
    const watching = new Watching();
    await watching.watch.set([watched({ type: 'agent' })], 0);
    watching.watch.adjust(add(100), 0);
    watching.finds = { healthy: true, message: 'agent: 50%', agent: { percent: 50 } };
    await watching.pass(9000);
    expect(watching.weights).toEqual([80, 60, 50]);
    expect(watching.events.map(({ weight }) => weight)).toEqual([80, 60, 50]);
  });
});

describe('probes', () => {
  test('run in bounded number, the longest due first', async () => {
    const watching = new Watching(2);
    watching.finds = undefined;
    const all = [1, 2, 3, 4].map((n) => watched({}, n));
    await watching.watch.set(all, 0);
    for (const n of [1, 2, 3, 4]) watching.watch.adjust(add(1, n), 0);
    await watching.pass(500);
    expect(watching.targets.map(({ address }) => address)).toEqual(['10.0.0.1', '10.0.0.2']);
    watching.pending.shift()!({ healthy: true, message: '' });
    await nextTurn();
    await watching.pass(600);
    expect(watching.targets.map(({ address }) => address)).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  test('of a target that is no longer watched are ended, and their results are ignored', async () => {
    const watching = new Watching();
    watching.finds = undefined;
    await watching.watch.set([watched({ fall: 1 })], 0);
    watching.watch.adjust(add(1), 0);
    await watching.pass(0);
    await watching.watch.set([], 0);
    expect(watching.aborted).toEqual(['10.0.0.1']);
    watching.pending[0]!(refused);
    await nextTurn();
    expect([watching.commands, watching.events]).toEqual([[], []]);
  });
});

test('a destination that the director already has can be watched later', async () => {
  const watching = new Watching();
  expect(watching.watch.adjust(add(5), 0)).toEqual(add(5));
  await watching.watch.set([watched({ fall: 1 })], 0);
  watching.finds = refused;
  await watching.pass(100);
  expect(watching.weights).toEqual([0]);
});

test('the words of a server are escaped when they would move a cursor, and otherwise unchanged', async () => {
  const watching = new Watching();
  await watching.watch.set([watched({ fall: 1 })], 0);
  watching.watch.adjust(add(5), 0);
  watching.finds = { healthy: false, message: 'status 3: <b>\u001b[31mr\u009b\u202e"\u00e9\n' };
  await watching.pass(100);
  expect(watching.events[0]!.cause).toBe('status 3: <b>\ufffd[31mr\ufffd\ufffd"\u00e9\ufffd');
});

describe('a service with consequences', () => {
  const at = (n: number) => ({ ...destination, address: `10.0.0.${n}` });
  const policy = (partial: Partial<Policy> = {}): Policy => ({
    ...{ service, quorum: 1, hysteresis: 0, sorry: [], removes: new Set() },
    ...partial,
  });
  const sorry = (n: number, inhibit = false) => ({
    destination: at(n),
    options: { method: 'nat', weight: 1 } as const,
    inhibit,
  });
  /** Commands as text: `+2 5` adds server 2 with weight 5, `=` edits, `-` deletes. */
  const texts = (commands: readonly Command[]) =>
    commands.map((each) => {
      const name = 'destination' in each ? each.destination.address.split('.')[3] : '';
      const sign = { 'add-destination': '+', 'edit-destination': '=', 'delete-destination': '-' }[
        each.op as string
      ];
      return `${sign}${name}${'options' in each && 'weight' in each.options ? ` ${each.options.weight}` : ''}`;
    });
  /** Two servers of weight 3 and 2, whose checks fail while `down` has their number. */
  async function two(partial: Partial<Policy>) {
    const watching = new Watching();
    const down = new Set<string>();
    watching.finds = undefined;
    const all = [1, 2].map((n) => watched({ fall: 1, rise: 1, interval: 1 }, n));
    await watching.watch.set(all, 0, [policy(partial)]);
    watching.watch.adjust({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
    const added = [add(3, 1), add(2, 2)].map((each) => watching.watch.adjust(each, 0));
    expect(added).toEqual([add(3, 1), add(2, 2)]);
    watching.watch.settled(0);
    const pass = async (...failing: readonly number[]) => {
      down.clear();
      for (const n of failing) down.add(`10.0.0.${n}`);
      watching.commands.length = 0;
      for (const to = watching.now + 1500; watching.now < to; watching.now += 100) {
        watching.watch.tick(watching.now);
        for (const { address } of watching.targets.splice(0))
          watching.pending.shift()!({ healthy: !down.has(address), message: 'looked' });
        await nextTurn();
      }
      return texts(watching.commands);
    };
    return { watching, pass };
  }

  test('uses its sorry servers when no other is up, and before it takes those out', async () => {
    const { watching, pass } = await two({ sorry: [sorry(8), sorry(9, true)] });
    expect(texts(watching.commands)).toEqual(['+9 0']);
    expect(await pass(1)).toEqual(['=1 0']);
    expect(await pass(1, 2)).toEqual(['=9 1', '+8 1', '=2 0']);
    expect(watching.firsts).toEqual(['service-up', 'quorum-up']);
    expect(watching.quorums).toMatchObject([{ event: 'quorum-down', weight: 0 }]);
    expect(watching.watch.quorumOf(service)).toEqual({ quorum: 1, hysteresis: 0, weight: 0, lost: true });
    expect(await pass(1)).toEqual(['=2 2', '-8', '=9 0']);
    expect(watching.quorums).toMatchObject([{}, { event: 'quorum-up', weight: 2 }]);
    expect(watching.services).toEqual(['service-down', 'service-up']);
  });

  test('loses its quorum below the sum of weights less the hysteresis, and gains it above', async () => {
    const { watching, pass } = await two({ quorum: 4, hysteresis: 1, sorry: [sorry(9)] });
    expect(await pass(2)).toEqual(['=2 0']); // 3 = 4 - 1
    expect(watching.quorums).toEqual([]);
    expect(await pass(1)).toEqual(['+9 1', '=1 0']); // server 2 returns, and is not used
    expect(watching.quorums).toMatchObject([{ event: 'quorum-down', weight: 0 }]);
    expect(await pass(1, 2)).toEqual([]);
    expect(await pass(2)).toEqual([]); // 3 < 4 + 1
    expect(await pass()).toEqual(['=2 2', '=1 3', '-9']);
    expect(watching.quorums).toMatchObject([{}, { event: 'quorum-up', weight: 5 }]);
  });

  test('without sorry servers keeps the others when it has lost its quorum', async () => {
    const { watching, pass } = await two({ quorum: 4 });
    expect(await pass(2)).toEqual(['=2 0']);
    expect(watching.quorums).toMatchObject([{ event: 'quorum-down', weight: 3 }]);
  });

  test('keeps the others when its sorry servers are down, too', async () => {
    const { watching, pass } = await two({ quorum: 4, sorry: [sorry(9)] });
    const all = [
      ...[1, 2].map((n) => watched({ fall: 1, rise: 1, interval: 1 }, n)),
      watched({ fall: 1 }, 9),
    ];
    await watching.watch.set(all, 0, [policy({ quorum: 4, sorry: [sorry(9)] })]);
    watching.watch.settled(0);
    expect(await pass(9)).toEqual([]);
    expect(await pass(2, 9)).toEqual(['=2 0']);
  });

  test('removes a server that is down from the rules, and adds it when it is up', async () => {
    const { watching, pass } = await two({ removes: new Set(['10.0.0.1:8080']) });
    expect(await pass(1, 2)).toEqual(['-1', '=2 0']);
    expect([...watching.watch.members(service)].map((each) => each.isPresent)).toEqual([false, true]);
    // The director does not get what an operator changes of it now, and gets it later.
    expect(watching.watch.adjust({ ...add(7, 1), op: 'edit-destination' } as Command, 0)).toBeUndefined();
    expect(await pass()).toEqual(['+1 7', '=2 2']);
  });

  test('that an operator removes is forgotten, with servers that are down', async () => {
    const { watching, pass } = await two({ removes: new Set(['10.0.0.1:8080']), sorry: [sorry(9)] });
    await pass(1);
    expect(
      watching.watch.adjust({ op: 'delete-destination', service, destination: at(1) }, 0),
    ).toBeUndefined();
    const remove: Command = { op: 'delete-service', service };
    expect(watching.watch.adjust(remove, 0)).toEqual(remove);
    expect(await pass(1)).toEqual([]);
    expect([...watching.watch.members(service)]).toEqual([]);
  });

  test('that has neither checks nor sorry servers any more is as configured', async () => {
    const { watching, pass } = await two({ removes: new Set(['10.0.0.1:8080']), sorry: [sorry(9)] });
    await pass(1, 2);
    expect(texts(await watching.watch.set([], 0))).toEqual(['-9', '+1 3', '=2 2']);
  });
});
