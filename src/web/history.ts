/** The last two minutes of a director: rates for the graphs, and who got how many of the connections. */

import { formatRule, formatService } from '../model/naming.ts';
import type { Snapshot } from '../model/snapshot.ts';

/** Samples that are kept, and ms between two. */
export const SAMPLES = 60;
export const PERIOD = 2000;
/** Destinations whose connections are remembered; those beyond have no share. */
const MAX_REMEMBERED = 20_000;

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

  /** To be called every PERIOD ms. */
  record({ services, rates }: Snapshot): void {
    push(this.#total, rates.inPackets, rates.outPackets);
    const tracks = new Map<string, Track>();
    const connections = new Map<string, number[]>();
    for (const { service, rates: its, destinations } of services) {
      const name = formatService(service);
      const track = this.#services.get(name) ?? { in: [], out: [] };
      push(track, its.inPackets, its.outPackets);
      tracks.set(name, track);
      for (const destination of destinations) {
        if (connections.size >= MAX_REMEMBERED) break;
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

  /** By the name of names.ts. */
  service(name: string): Graph {
    return this.#services.get(name) ?? { in: [], out: [] };
  }

  /** Connections that the destination got in the last two minutes; counters that went back begin anew. */
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
