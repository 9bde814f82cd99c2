/** Watches destinations: starts their probes in time, few at once, and tells what becomes of their weights. */
import type { Check, CheckSnapshot, HealthState } from '../model/check.ts';
import type { Command } from '../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Health } from './health.ts';
import type { Observation, Probe, Target } from './probe.ts';

/** A destination that is to be watched. */
export interface Watched {
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
  readonly check: Check;
}

/** A change of a destination's state, and what it came from. */
export interface HealthEvent {
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
  readonly from: HealthState;
  readonly to: HealthState;
  /** That it has now. */
  readonly weight: number;
  /** What the last check found. */
  readonly cause: string;
}

export interface WatchOptions {
  /** Does the looking. */
  readonly probe: Probe;
  /** 0 <= x < 1; spreads first checks, so that not all come at once. */
  readonly random: () => number;
  /** Told the new weights as edit-destination commands. */
  readonly apply: (commands: readonly Command[]) => void;
  readonly event: (event: HealthEvent) => void;
  /** Probes at once. Default 64. */
  readonly most?: number;
}

/** ms between two looks at the weights of destinations that grow. */
const GROWTH = 1000;

interface Entry {
  readonly watched: Watched;
  readonly target: Target;
  readonly health: Health;
  /** As they were asked for; undefined: the director does not have it. */
  options: DestinationOptions | undefined;
  /** The weight that it was given last. */
  weight: number;
  /** When it is to be looked at next, ms. */
  due: number;
  busy: AbortController | undefined;
}

export class Watch implements Disposable {
  readonly #options: WatchOptions;
  #entries = new Map<string, Entry>();
  #running = 0;
  #grow = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /**
   * From now on just these are watched; what is known of those that were already is kept. Returns commands that give
   * destinations that are no longer watched their own weight back. Times are ms of one clock.
   */
  set(all: readonly Watched[], now: number): Command[] {
    const before = this.#entries;
    this.#entries = new Map();
    for (const watched of all) {
      const key = keyOf(watched.service, watched.destination);
      const known = before.get(key);
      if (known && JSON.stringify(known.watched.check) === JSON.stringify(watched.check)) {
        this.#entries.set(key, known);
        before.delete(key);
      } else this.#entries.set(key, this.#entry(watched, known, now));
    }
    const commands: Command[] = [];
    for (const [key, { busy, options, weight, watched }] of before) {
      busy?.abort();
      if (!this.#entries.has(key) && options && (options.weight ?? 1) !== weight)
        commands.push(edit(watched, options));
    }
    return commands;
  }

  /**
   * Commands on their way to the director, with the weights that the checks allow. What they ask for is remembered.
   */
  adjust(commands: readonly Command[], now: number): Command[] {
    return commands.map((command) => {
      if (command.op === 'add-destination' || command.op === 'edit-destination') {
        const entry = this.#entries.get(keyOf(command.service, command.destination));
        if (!entry) return command;
        entry.options = command.options;
        entry.weight = entry.health.weight(command.options.weight ?? 1, now);
        return { ...command, options: { ...command.options, weight: entry.weight } };
      }
      if (command.op === 'flush' || command.op === 'delete-service' || command.op === 'delete-destination')
        for (const entry of this.#entries.values())
          if (isRemovedBy(command, entry.watched)) entry.options = undefined;
      return command;
    });
  }

  /** To be called often, such as every 100 ms: starts what is due. */
  tick(now: number): void {
    const { most = 64 } = this.#options;
    const due = [...this.#entries.values()].filter((each) => each.due <= now && !each.busy && each.options);
    for (const entry of due.sort((a, b) => a.due - b.due).slice(0, Math.max(0, most - this.#running)))
      this.#look(entry, now);
    for (const entry of this.#entries.values()) {
      const from = entry.health.state;
      if (!entry.health.tick(now)) continue;
      this.#weigh([entry], now);
      this.#tell(entry, from);
    }
    if (now < this.#grow) return;
    this.#grow = now + GROWTH;
    this.#weigh([...this.#entries.values()], now);
  }

  /** What is known of a destination; undefined: it is not watched. */
  stateOf(service: ServiceAddress, destination: DestinationAddress, now: number): CheckSnapshot | undefined {
    const entry = this.#entries.get(keyOf(service, destination));
    if (!entry?.options) return undefined;
    const { health, options, watched } = entry;
    return {
      type: watched.check.type,
      state: health.state,
      since: Math.floor(Math.max(0, now - health.since) / 1000),
      message: health.message,
      weight: options.weight ?? 1,
    };
  }

  [Symbol.dispose](): void {
    this.set([], 0);
  }

  #entry(watched: Watched, known: Entry | undefined, now: number): Entry {
    const { service, destination, check } = watched;
    const virtual = 'address' in service ? service.address : destination.address;
    const port = check.port ?? destination.port;
    return {
      watched,
      target: { address: destination.address, port, virtual, check },
      health: new Health(check, now, known?.health),
      options: known?.options,
      weight: known?.weight ?? 0,
      due: now + this.#options.random() * check.interval * 1000,
      busy: undefined,
    };
  }

  #look(entry: Entry, now: number): void {
    const { interval, timeout } = entry.watched.check;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeout * 1000);
    entry.busy = abort;
    entry.due = now + interval * 1000;
    this.#running++;
    void this.#options.probe(entry.target, abort.signal).then((observation) => {
      clearTimeout(timer);
      this.#running--;
      entry.busy = undefined;
      // Not watched any more, or differently.
      if (this.#entries.get(keyOf(entry.watched.service, entry.watched.destination)) !== entry) return;
      this.#observe(entry, observation, now);
    });
  }

  #observe(entry: Entry, observation: Observation, now: number): void {
    const { health, weight } = entry;
    const from = health.state;
    const isOther = health.observe(observation, now);
    this.#weigh([entry], now);
    if (isOther || (entry.weight !== weight && health.state !== 'growing')) this.#tell(entry, from);
  }

  #tell({ watched, health, weight }: Entry, from: HealthState): void {
    const { service, destination } = watched;
    this.#options.event({ service, destination, from, to: health.state, weight, cause: health.message });
  }

  /** Gives those whose weight is not what it should be the right one. */
  #weigh(entries: readonly Entry[], now: number): void {
    const commands: Command[] = [];
    for (const entry of entries) {
      if (!entry.options) continue;
      const weight = entry.health.weight(entry.options.weight ?? 1, now);
      if (weight === entry.weight) continue;
      entry.weight = weight;
      commands.push(edit(entry.watched, { ...entry.options, weight }));
    }
    if (commands.length > 0) this.#options.apply(commands);
  }
}

const edit = ({ service, destination }: Watched, options: DestinationOptions): Command => ({
  op: 'edit-destination',
  service,
  destination,
  options,
});

const nameOf = (service: ServiceAddress): string =>
  'mark' in service
    ? `mark ${service.mark} ${service.family}`
    : `${service.protocol} ${service.address} ${service.port}`;
const keyOf = (service: ServiceAddress, { address, port }: DestinationAddress): string =>
  `${nameOf(service)} ${address} ${port}`;

function isRemovedBy(
  command: Extract<Command, { op: 'flush' | 'delete-service' | 'delete-destination' }>,
  { service, destination }: Watched,
): boolean {
  if (command.op === 'flush') return true;
  if (nameOf(command.service) !== nameOf(service)) return false;
  return (
    command.op === 'delete-service' ||
    keyOf(command.service, command.destination) === keyOf(service, destination)
  );
}
