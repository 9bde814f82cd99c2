/** Every scheduler picks what the kernel's picked, through additions, edits and deletions. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type SchedulerName, schedulers } from '../../src/schedulers/index.ts';
import type { Scheduler } from '../../src/schedulers/scheduler.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';
import { context, destination, type MutableDestination } from '../support/destinations.ts';
import { endpoint, type GoldenStep, readGolden } from '../support/golden.ts';

const GOLDEN = join(import.meta.dirname, '../conformance/golden');
/** Recordings whose picks depend on nothing but the list and the connections made so far. */
const files = readdirSync(GOLDEN).filter((file) =>
  /^(sched-.*-equal|sched-(fo|rr|wrr|sh)-weights|wrr-\d.*|mh-(none|port|fallback)|sh-(none|port|fallback)|lblc-overload|ovf-fo|fwm-(dh|sh|lblc)|rr-edit|v6-(dh|sh))\.json$/.test(
    file,
  ),
);

interface Service {
  readonly list: MutableDestination[];
  readonly gone: MutableDestination[];
  readonly scheduler: Scheduler;
  /** Upper thresholds; one takes effect when a connection is made. */
  readonly thresholds: Map<MutableDestination, number>;
}

const FLAGS: Record<string, number> = { 'sh-fallback': 1, 'mh-fallback': 1, 'sh-port': 2, 'mh-port': 2 };

function option(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words[at + 1];
}

function ipvsadm(services: Map<string, Service>, step: string): void {
  const words = step.split(' ').slice(1);
  const key = option(words, '-t') ?? option(words, '-u') ?? `mark ${option(words, '-f')}`;
  if (words[0] === '-A') {
    const name = option(words, '-s') as SchedulerName;
    if (!Object.hasOwn(schedulers, name)) throw new Error(`no scheduler ${name}`);
    const list: MutableDestination[] = [];
    const flags = (option(words, '-b')?.split(',') ?? []).reduce((all, flag) => all | FLAGS[flag]!, 0);
    services.set(key, {
      list,
      gone: [],
      thresholds: new Map(),
      scheduler: schedulers[name](context(list, { flags })),
    });
    return;
  }
  const real = option(words, '-r');
  if (!real) return;
  const { list, gone, scheduler, thresholds } = services.get(key)!;
  const { address, port } = endpoint(real);
  const isIt = (d: MutableDestination) => formatAddress(d.address) === address && d.port === port;
  const weight = Number(option(words, '-w') ?? 1);
  if (words[0] === '-a') {
    const at = gone.findIndex(isIt);
    const added = at < 0 ? destination(address, weight, { port }) : gone.splice(at, 1)[0]!;
    added.weight = added.lastWeight = weight;
    list.unshift(added);
    scheduler.changed?.('added', added, 0);
    return;
  }
  const index = list.findIndex(isIt);
  const it = list[index]!;
  if (words[0] === '-e') {
    it.weight = weight;
    if (weight > 0) it.lastWeight = weight;
    scheduler.changed?.('edited', it, index);
    thresholds.set(it, Number(option(words, '-x') ?? 0));
  } else {
    list.splice(index, 1);
    gone.push(it);
    scheduler.changed?.('removed', it, index);
  }
}

/** All flows of a step, as picks: each becomes an active connection. */
function play(services: Map<string, Service>, step: GoldenStep): string[] {
  return step.flows!.map((flow) => {
    const [client, virtual] = flow.split('>').map((text) => endpoint(text)) as [
      ReturnType<typeof endpoint>,
      ReturnType<typeof endpoint>,
    ];
    const service = services.get(flow.split('>')[1]!) ?? services.get('mark 1')!;
    const pick = service.scheduler.schedule({
      caddr: parseAddress(client.address)!,
      cport: client.port,
      vaddr: parseAddress(virtual.address)!,
      vport: virtual.port,
      daddr: parseAddress(virtual.address)!,
      now: step.t * 1000,
    }) as MutableDestination | undefined;
    if (!pick) return virtual.address.includes(':') ? 'icmp:1/4' : 'icmp:3/3';
    pick.activeConnections++;
    const threshold = service.thresholds.get(pick) ?? 0;
    pick.overloaded = threshold > 0 && pick.activeConnections >= threshold;
    return `rs${Number.parseInt(formatAddress(pick.address).split(/[.:]/).at(-1)!, 10) - 10}`;
  });
}

test('recordings exist for all schedulers that do not pick at random', () => {
  expect(files.length).toBeGreaterThan(30);
});

test.each(files)('%s', (file) => {
  const services = new Map<string, Service>();
  let compared = 0;
  for (const step of readGolden(join(GOLDEN, file)).steps) {
    if (step.step.startsWith('ipvsadm ')) ipvsadm(services, step.step);
    if (!step.picks || step.step.startsWith('conncloses')) continue;
    expect(play(services, step), step.step).toEqual(step.picks);
    compared += step.picks.length;
  }
  expect(compared).toBeGreaterThan(0);
});
