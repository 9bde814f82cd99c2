/** Watches destinations: starts their probes in time, few at once, and tells what becomes of their weights. */
import type { Check, CheckSnapshot, HealthState } from '../model/check.ts';
import type { Command } from '../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';
import { UNPRINTABLE } from '../model/unprintable.ts';
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

/** A destination as the director has it, watched or not. */
interface Asked {
  /** As somebody asked for it. */
  readonly options: DestinationOptions;
  /** The weight that it was given. */
  weight: number;
}

interface Entry {
  readonly key: string;
  readonly watched: Watched;
  readonly target: Target;
  readonly health: Health;
  /** When it is to be looked at next, ms. */
  due: number;
  busy: AbortController | undefined;
}

export class Watch implements Disposable {
  readonly #options: WatchOptions;
  #entries = new Map<string, Entry>();
  /** Of every destination that the director has: one may come to be watched later. */
  readonly #asked = new Map<string, Asked>();
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
    for (const [key, { busy, watched }] of before) {
      busy?.abort();
      const asked = this.#asked.get(key);
      const own = asked?.options.weight ?? 1;
      if (this.#entries.has(key) || !asked || asked.weight === own) continue;
      asked.weight = own;
      commands.push(edit(watched, asked.options));
    }
    return commands;
  }

  /**
   * Commands on their way to the director, with the weights that the checks allow. What they ask for is remembered.
   */
  adjust(commands: readonly Command[], now: number): Command[] {
    return commands.map((command) => {
      if (command.op === 'add-destination' || command.op === 'edit-destination') {
        const { options } = command;
        const key = keyOf(command.service, command.destination);
        const own = options.weight ?? 1;
        const weight = this.#entries.get(key)?.health.weight(own, now) ?? own;
        this.#asked.set(key, { options, weight });
        return weight === own ? command : { ...command, options: { ...options, weight } };
      }
      if (command.op === 'flush') this.#asked.clear();
      if (command.op === 'delete-destination')
        this.#asked.delete(keyOf(command.service, command.destination));
      if (command.op === 'delete-service')
        for (const key of this.#asked.keys())
          if (key.startsWith(`${nameOf(command.service)} > `)) this.#asked.delete(key);
      return command;
    });
  }

  /** To be called often, such as every 100 ms: starts what is due. */
  tick(now: number): void {
    const { most = 64 } = this.#options;
    const due: Entry[] = [];
    const growing: Entry[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.due <= now && !entry.busy && this.#asked.has(entry.key)) due.push(entry);
      if (entry.health.state === 'growing') growing.push(entry);
    }
    const longest = due.sort((a, b) => a.due - b.due).slice(0, Math.max(0, most - this.#running));
    for (const entry of longest) this.#look(entry, now);
    for (const entry of growing) {
      if (!entry.health.tick(now)) continue;
      this.#weigh([entry], now);
      this.#tell(entry, 'growing');
    }
    if (now < this.#grow) return;
    this.#grow = now + GROWTH;
    this.#weigh(growing, now);
  }

  /** What is known of a destination; undefined: it is not watched. */
  stateOf(service: ServiceAddress, destination: DestinationAddress, now: number): CheckSnapshot | undefined {
    const key = keyOf(service, destination);
    const entry = this.#entries.get(key);
    const asked = this.#asked.get(key);
    if (!entry || !asked) return undefined;
    const { health, watched } = entry;
    return {
      type: watched.check.type,
      state: health.state,
      since: Math.floor(Math.max(0, now - health.since) / 1000),
      message: health.message,
      weight: asked.options.weight ?? 1,
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
      key: keyOf(service, destination),
      watched,
      target: { address: destination.address, port, virtual, check },
      health: new Health(check, now, known?.health),
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
    void observationOf(this.#options.probe, entry.target, abort.signal).then((observation) => {
      clearTimeout(timer);
      this.#running--;
      entry.busy = undefined;
      // Not watched any more, or differently.
      if (this.#entries.get(entry.key) !== entry) return;
      this.#observe(entry, observation, now);
    });
  }

  #observe(entry: Entry, observation: Observation, now: number): void {
    const { health } = entry;
    const from = health.state;
    const before = this.#weightOf(entry);
    const isOther = health.observe(observation, now);
    const { interval, retryInterval = interval } = entry.watched.check;
    if (!observation.healthy && health.state !== 'down') entry.due = now + retryInterval * 1000;
    this.#weigh([entry], now);
    if (isOther || (this.#weightOf(entry) !== before && health.state !== 'growing')) this.#tell(entry, from);
  }

  #weightOf({ key }: Entry): number {
    return this.#asked.get(key)?.weight ?? 0;
  }

  #tell(entry: Entry, from: HealthState): void {
    const { service, destination } = entry.watched;
    const { state: to, message: cause } = entry.health;
    this.#options.event({ service, destination, from, to, weight: this.#weightOf(entry), cause });
  }

  /** Gives those whose weight is not what it should be the right one. */
  #weigh(entries: readonly Entry[], now: number): void {
    const commands: Command[] = [];
    for (const { key, watched, health } of entries) {
      const asked = this.#asked.get(key);
      if (!asked) continue;
      const weight = health.weight(asked.options.weight ?? 1, now);
      if (weight === asked.weight) continue;
      asked.weight = weight;
      commands.push(edit(watched, { ...asked.options, weight }));
    }
    if (commands.length > 0) this.#options.apply(commands);
  }
}

/** What a probe cannot even ask for, such as a page that HTTP has no words for, is what it found. */
async function observationOf(probe: Probe, target: Target, signal: AbortSignal): Promise<Observation> {
  try {
    const observation = await probe(target, signal);
    return { ...observation, message: observation.message.replace(UNPRINTABLE, '\ufffd') };
  } catch (error) {
    return { healthy: false, message: (error as Error).message };
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
  `${nameOf(service)} > ${address} ${port}`;
