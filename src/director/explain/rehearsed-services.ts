/** Copies of services and destinations for one packet, so that its counts and selections have no effect. */

import type { Destination } from '../../model/destination.ts';
import { schedulers } from '../../schedulers/index.ts';
import type { Request, Scheduler, SchedulerContext, SchedulerFactory } from '../../schedulers/scheduler.ts';
import { DestinationRecords } from '../../table/destination-records.ts';
import { ordinaryMemory } from '../../table/memory.ts';
import { ServiceRecords } from '../../table/service-records.ts';
import type { DirectorCore } from '../core.ts';
import { RealDestination, Service } from '../service.ts';

/** Called with a selection: the service, the selected destination, and whether another director has scheduled the connection. */
export type Choice = (service: Service, chosen: Destination | undefined, isTakenOver: boolean) => void;

export class RehearsedServices {
  /** Copies of destinations, by number. */
  readonly destinations: (RealDestination | undefined)[] = [];
  /** Copies of their records. */
  readonly records = new DestinationRecords(ordinaryMemory);
  readonly #records = new ServiceRecords(ordinaryMemory);
  readonly #services = new Map<Service, Service>();
  readonly #copies = new Map<RealDestination, RealDestination>();
  readonly #core: DirectorCore;
  readonly #chosen: Choice;
  readonly #random: () => number;

  constructor(core: DirectorCore, random: () => number, chosen: Choice) {
    this.#core = core;
    this.#random = random;
    this.#chosen = chosen;
  }

  service(real: Service): Service {
    const known = this.#services.get(real);
    if (known) return known;
    const copy = new Service(this.#records.make(real), real, real.options, this.#records);
    this.#services.set(real, copy);
    copy.configure(real.options, real.mask);
    copy.destinations.push(...real.destinations.map((each) => this.destination(each)));
    copy.scheduler = this.#scheduler(real, copy);
    return copy;
  }

  destination(real: RealDestination): RealDestination {
    const service = this.service(real.service);
    const known = this.#copies.get(real);
    if (known) return known;
    this.records.copy(this.#core.table.records, real.index);
    const copy = new RealDestination(real.index, service, real.address, real.port, this.records);
    copy.method = real.method;
    copy.tunnel = real.tunnel;
    this.#copies.set(real, copy);
    this.destinations[real.index] = copy;
    return copy;
  }

  /** Returns a scheduler that selects what the real one would. */
  #scheduler(real: Service, copy: Service): Scheduler {
    const factory: SchedulerFactory = (schedulers as Readonly<Record<string, SchedulerFactory>>)[
      copy.options.scheduler
    ]!;
    const twinOf = (destination: Destination) => this.destination(destination as RealDestination);
    const twinFor = (request: Request): Scheduler => {
      const { last, level, step, top } = real.position;
      const context: SchedulerContext = {
        destinations: copy.destinations,
        position: { last, level, step, top, setTable: () => {} },
        family: copy.family,
        flags: copy.options.schedulerFlags ?? 0,
        settings: this.#core.settings,
        random: this.#random,
      };
      return real.scheduler.fork?.(context, request, twinOf) ?? factory(context);
    };
    const told = (chosen: Destination | undefined, isTakenOver: boolean): Destination | undefined => {
      this.#chosen(copy, chosen, isTakenOver);
      return chosen;
    };
    return {
      schedule: (request) => told(twinFor(request).schedule(request), false),
      continued(request) {
        const twin = twinFor(request);
        return told(twin.continued ? twin.continued(request) : twin.schedule(request), true);
      },
    };
  }
}
