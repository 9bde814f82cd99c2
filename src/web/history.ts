/** Records the last two minutes: rates for the graphs, and the new connections of each destination. */
import { formatRule, formatService } from '../model/naming.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot, Traffic } from '../model/snapshot.ts';

/** Number of samples, and time between two, ms. */
export const SAMPLES = 60;
export const PERIOD_MS = 2000;
/** Maximum numbers of services and destinations that are recorded, and shown on the page. */
export const MAX_SERVICES = 500;
const MAX_DESTINATIONS = 5000;

/** Packets per second in each direction, oldest first. */
export interface Graph {
  readonly in: readonly number[];
  readonly out: readonly number[];
}

interface Track {
  in: number[];
  out: number[];
}

/** The samples of the last two minutes. */
export class History {
  readonly #total: Track = { in: [], out: [] };
  #services = new Map<string, Track>();
  /** Totals of connections by destination, newest last. */
  #connections = new Map<string, number[]>();

  /** Records a sample. Call it every PERIOD_MS. Works in slices, and reads only the services that it records. */
  async record(rates: Traffic, services: Iterable<ServiceSnapshot>): Promise<void> {
    const slice = new Slice();
    push(this.#total, rates.inPackets, rates.outPackets);
    const tracks = new Map<string, Track>();
    const connections = new Map<string, number[]>();
    for (const { service, rates: current, destinations } of services) {
      if (tracks.size >= MAX_SERVICES) break;
      if (slice.spent) await slice.next();
      const name = formatService(service);
      const track = this.#services.get(name) ?? { in: [], out: [] };
      push(track, current.inPackets, current.outPackets);
      tracks.set(name, track);
      for (const destination of destinations) {
        if (connections.size >= MAX_DESTINATIONS) break;
        const key = formatRule(service, destination);
        connections.set(key, appended(this.#connections.get(key) ?? [], destination.stats.connections));
      }
    }
    this.#services = tracks;
    this.#connections = connections;
  }

  get total(): Graph {
    return this.#total;
  }

  /** Returns the graph of a service, by its name (model/naming.ts). */
  service(name: string): Graph {
    return this.#services.get(name) ?? { in: [], out: [] };
  }

  /**
   * Returns the number of connections that a destination received in the last two minutes. A counter that decreased
   * was reset.
   */
  gained(key: string): number {
    const totals = this.#connections.get(key) ?? [];
    return totals.reduce((sum, total, i) => {
      const before = totals[i - 1] ?? total;
      return sum + (total < before ? total : total - before);
    }, 0);
  }
}

function push(track: Track, into: number, out: number): void {
  track.in = appended(track.in, into);
  track.out = appended(track.out, out);
}

const appended = (values: readonly number[], value: number): number[] => [
  ...values.slice(values.length >= SAMPLES ? 1 : 0),
  value,
];
