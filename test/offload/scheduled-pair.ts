/** Two directors that schedule alike, one of which has programs of the kernel. */
import { requireService } from '../../src/director/administration.ts';
import { countBound } from '../../src/director/connection-counts.ts';
import type { RealDestination, Service } from '../../src/director/service.ts';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import type { Command } from '../../src/model/command.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { KernelMemory } from '../../src/offload/kernel-memory.ts';
import type { ProgrammedScheduler } from '../../src/offload/schedule/program.ts';
import type { Request } from '../../src/schedulers/scheduler.ts';
import { type Address, addressFromV4 } from '../../src/wire/address.ts';
import { Directed, seeded } from '../support/directed.ts';
import { SCHEDULERS, ScheduledInKernel } from './scheduled.ts';

/** What happens to a service: an edit, or a new connection that a program or the director schedules. */
export interface Step {
  readonly what: 'add' | 'edit' | 'remove' | 'count' | 'flags' | 'program' | 'director';
  /** Number of a destination, or of a client. */
  readonly at: number;
  readonly weight: number;
  readonly upper: number;
  readonly active: number;
  readonly inactive: number;
  readonly flags: number;
}

/** Two directors with the same service: programs select by the records of the first one, too. */
export class ScheduledPair {
  readonly programs: ScheduledInKernel;
  /** How often a program selected a destination, and left that to the director. */
  selected = 0;
  left = 0;
  readonly #directors: readonly [Directed, Directed];
  #name: ServiceAddress = { mark: 1, family: 4 };
  #services!: readonly [Service, Service];
  #scheduler: ProgrammedScheduler = 'rr';
  #mark = 0;
  /** Addresses of the destinations, newest first. */
  #hosts: string[] = [];
  #host = 0;

  constructor(bpf: Bpf) {
    const memory = new KernelMemory(bpf);
    this.#directors = [new Directed({ maxConnections: 64, memory }), new Directed({ maxConnections: 64 })];
    this.programs = new ScheduledInKernel(bpf, memory);
  }

  /** Begins a new service. */
  serve(scheduler: ProgrammedScheduler, family: 4 | 6): void {
    this.#name = { mark: ++this.#mark, family };
    this.#hosts = [];
    this.#scheduler = scheduler;
    this.#apply({ op: 'add-service', service: this.#name, options: { scheduler } });
    const [first, second] = this.#directors.map(({ director }) =>
      requireService(director.context, this.#name),
    );
    this.#services = [first!, second!];
  }

  use(scheduler: ProgrammedScheduler, schedulerFlags = 0): void {
    this.#scheduler = scheduler;
    this.#apply({ op: 'edit-service', service: this.#name, options: { scheduler, schedulerFlags } });
  }

  /** Throws an Error if the program selects another destination than the second director. */
  take({ what, at, weight, upper, active, inactive, flags }: Step): void {
    if (what === 'program' || what === 'director') this.#connect(what, at);
    else if (what === 'flags') this.use(this.#scheduler, flags);
    else if (what === 'add') this.#add(weight, upper);
    else if (this.#hosts.length > 0) {
      const place = at % this.#hosts.length;
      if (what === 'edit') this.#configure('edit-destination', place, weight, upper);
      else if (what === 'count') this.#count(place, active, inactive);
      else this.#remove(place);
    }
  }

  #add(weight: number, upper: number): void {
    const n = ++this.#host;
    const { family } = this.#name as { family: 4 | 6 };
    this.#hosts.unshift(family === 4 ? `10.1.${n >> 8}.${n & 0xff}` : `fd01::${n.toString(16)}`);
    this.#configure('add-destination', 0, weight, upper);
  }

  #configure(
    op: 'add-destination' | 'edit-destination',
    place: number,
    weight: number,
    upperThreshold: number,
  ) {
    const destination = { address: this.#hosts[place]!, port: 80 };
    this.#apply({ op, service: this.#name, destination, options: { method: 'nat', weight, upperThreshold } });
  }

  #remove(place: number): void {
    const [address] = this.#hosts.splice(place, 1);
    const destination = { address: address!, port: 80 };
    this.#apply({ op: 'delete-destination', service: this.#name, destination });
  }

  #count(place: number, active: number, inactive: number): void {
    for (const { destinations } of this.#services) {
      const destination = destinations[place]!;
      destination.addActive(active - destination.activeConnections);
      destination.addInactive(inactive - destination.inactiveConnections);
    }
  }

  /** Lets the program or the first director schedule, and the second director as well. */
  #connect(by: 'program' | 'director', client: number): void {
    const [first, second] = this.#services;
    const arrival = requestOf(client, first.family);
    const expected = second.scheduler.schedule(arrival) as RealDestination | undefined;
    let number = by === 'program' ? this.programs.pick(this.#scheduler, first.index, arrival) : 0;
    const isLeft = number === 0;
    // What a program leaves to the director is scheduled there.
    if (isLeft) number = (first.scheduler.schedule(arrival) as RealDestination | undefined)?.index ?? 0;
    check(number, expected?.index ?? 0, 'destination');
    // mh makes its table for the first connection.
    if (by === 'program' && this.#scheduler !== 'mh') check(isLeft, expected === undefined, 'left');
    check(first.position.last, second.position.last, 'last place');
    check(first.position.level, second.position.level, 'level');
    for (const { destinations } of this.#services) {
      const selected = destinations.find(({ index }) => index === number);
      if (selected) countBound(selected, false, true);
    }
    if (by === 'program' && isLeft) this.left++;
    else if (by === 'program') this.selected++;
  }

  #apply(command: Command): void {
    for (const { director } of this.#directors) director.apply(command, 0);
  }
}

function check<Value>(found: Value, expected: Value, what: string): void {
  if (found !== expected) throw new Error(`${what}: ${found}: expected ${expected}`);
}

/** The first packet of a client. */
function requestOf(client: number, family: 4 | 6): Request {
  const caddr: Address =
    family === 4 ? addressFromV4(client >>> 0) : Uint32Array.of(0x20010db8, client, client << 7, client >> 3);
  const vaddr = family === 4 ? addressFromV4(client * 7) : Uint32Array.of(0x20010db8, 1, client, client * 3);
  return { caddr, cport: client & 0xffff, vaddr, vport: 80, daddr: vaddr, now: 0 };
}

/** Lets each scheduler select so often among `size` destinations. Returns how often programs did, and left it. */
export function scheduleAmong(
  pair: ScheduledPair,
  size: number,
  times: number,
): Pick<ScheduledPair, 'selected' | 'left'> {
  const random = seeded(size);
  const upTo = (most: number) => Math.floor(random() * (most + 1));
  const step = (what: Step['what'], at: number): Step => ({
    what,
    at,
    weight: 1 + upTo(9),
    upper: upTo(3) === 0 ? 2 : 0,
    active: upTo(5),
    inactive: upTo(5),
    flags: 0,
  });
  pair.selected = 0;
  pair.left = 0;
  pair.serve('rr', 4);
  for (let i = 0; i < size; i++) pair.take(step('add', 0));
  for (let i = 0; i < size; i++) pair.take(step('count', i));
  for (const scheduler of SCHEDULERS) {
    pair.use(scheduler, 3);
    // mh makes its table.
    pair.take(step('director', 1));
    for (let i = 0; i < times; i++) pair.take(step(upTo(3) === 0 ? 'director' : 'program', upTo(2 ** 31)));
  }
  return pair;
}
