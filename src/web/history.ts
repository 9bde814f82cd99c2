/** The last two minutes of a director: rates for the graphs, and the new connections of each destination. */
import { formatRule, formatService } from '../model/naming.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot, Traffic } from '../model/snapshot.ts';

/** The number of samples, and ms between two. */
export const SAMPLES = 60;
export const PERIOD_MS = 2000;
/** Services and destinations that are recorded: those that the page shows, and no more. */
export const MAX_SERVICES = 500;
const MAX_DESTINATIONS = 5000;

/** Packets a second in each direction, oldest first. */
export interface Graph {
  readonly in: readonly number[];
  readonly out: readonly number[];
}

interface Track {
  in: number[];
  out: number[];
}

export class History {
  readonly #total: Track = { in: [], out: [] };
  #services = new Map<string, Track>();
  /** Totals of connections by destination, newest last. */
  #connections = new Map<string, number[]>();

  /** Records a sample. Call it every PERIOD_MS. Works in slices, and reads no more services than it keeps. */
  async record(rates: Traffic, services: Iterable<ServiceSnapshot>): Promise<void> {
    const slice = new Slice();
    push(this.#total, rates.inPackets, rates.outPackets);
    const tracks = new Map<string, Track>();
    const connections = new Map<string, number[]>();
    for (const { service, rates: its, destinations } of services) {
      if (tracks.size >= MAX_SERVICES) break;
      if (slice.spent) await slice.next();
      const name = formatService(service);
      const track = this.#services.get(name) ?? { in: [], out: [] };
      push(track, its.inPackets, its.outPackets);
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

  /** Returns the connections that a destination got in the last two minutes. A counter that decreased was reset. */
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
