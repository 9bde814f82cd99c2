/** A site to look at: many services with names, checks, failures and traffic that changes with every call of `tick`. */

import { acceptsConnections } from '../../src/model/destination.ts';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot, Traffic } from '../../src/model/snapshot.ts';
import type { Availability } from '../../src/web/observed.ts';
import { ObservedDirector } from './observed.ts';

const NAMES = ['web', 'api', 'mail', 'dns', 'ldap', 'shop', 'cache', 'git', 'wiki', 'sip'];

export class Site extends ObservedDirector {
  readonly #count: { readonly services: number; readonly servers: number };
  #ticks = 0;

  constructor(services: number, servers: number) {
    super();
    this.#count = { services, servers };
    const cause = 'http check: connection refused';
    for (let i = 0; i < Math.min(services, 12); i++)
      this.events.add(new Date(i * 100), 'warning', 'check-down', {
        'service-name': nameOf(i),
        service: `tcp 192.0.2.${i + 1}:443`,
        destination: '10.1.0.4:8443',
        'destination-name': 'node4',
        cause,
      });
    this.events.add(new Date(9000), 'info', 'reloaded', { commands: 3, draining: 0 });
  }

  /** Lets two seconds pass: all figures change. */
  async tick(): Promise<void> {
    this.#ticks++;
    await this.history.record(this.summary().rates, this.services());
  }

  override snapshot(): Snapshot {
    return { ...this.summary(), services: [...this.services()] };
  }

  override summary(): Omit<Snapshot, 'services'> {
    const { services: _, ...rest } = super.snapshot();
    return { ...rest, rates: this.#rates(1, 400), stats: this.#rates(1, 9e6) };
  }

  override *services(): Generator<ServiceSnapshot> {
    const { services, servers } = this.#count;
    for (let i = 0; i < services; i++) {
      const destinations = Array.from({ length: servers }, (_, k) => this.#destination(i, servers - 1 - k));
      const isMark = i % 13 === 12;
      yield {
        service: isMark
          ? { mark: i, family: 4 }
          : i % 7 === 6
            ? { protocol: 'tcp', address: `2001:db8:0:10::${i + 1}`, port: 443 }
            : { protocol: i % 5 === 3 ? 'udp' : 'tcp', address: `192.0.2.${i + 1}`, port: 443 },
        ...(i % 6 !== 5 && { name: nameOf(i) }),
        position: i,
        options: { scheduler: i % 2 === 0 ? 'wlc' : 'rr', ...(i % 4 === 1 && { persistent: 300 }) },
        stats: this.#rates(i, 1e6),
        rates: this.#rates(i, 300),
        destinations,
      };
    }
  }

  override availability(): Availability {
    return {
      served: this.#count.services > 0,
      accepting: [...this.services()].some(({ destinations }) => destinations.some(acceptsConnections)),
    };
  }

  #destination(i: number, k: number): DestinationSnapshot {
    const isUnchecked = i % 8 === 3;
    const isDown = !isUnchecked && ((k === 3 && i < 12) || i === 17);
    const isDrained = k === 1 && i % 9 === 2;
    const weight = isDown || isDrained ? 0 : 1 + (k % 3);
    return {
      address: i % 7 === 6 ? `2001:db8:1::${k + 1}` : `10.1.0.${k + 1}`,
      port: 8443,
      ...(k % 5 !== 4 && { name: `node${k + 1}` }),
      position: k,
      method: 'nat',
      tunnel: { type: 'ipip', port: 0, checksum: 'none' },
      weight,
      upperThreshold: 0,
      lowerThreshold: 0,
      activeConnections: this.#figure(i * 31 + k, 2000),
      inactiveConnections: this.#figure(i * 37 + k, 9000),
      persistentConnections: 0,
      overloaded: false,
      ...(isDrained && { drained: true as const }),
      ...(!isUnchecked && {
        check: {
          type: 'http',
          state: isDown ? 'down' : 'up',
          since: 60 + this.#ticks * 2,
          message: isDown ? 'connection refused' : 'status 200',
          weight: 1 + (k % 3),
        },
      }),
      stats: this.#rates(i * 20 + k, 1e6 * (1 + this.#ticks)),
      rates: isDown ? this.#rates(0, 0) : this.#rates(i * 20 + k, 90),
    };
  }

  #rates(seed: number, scale: number): Traffic {
    return {
      connections: this.#figure(seed, scale),
      inPackets: this.#figure(seed + 1, scale * 20),
      outPackets: this.#figure(seed + 2, scale * 25),
      inOctets: this.#figure(seed + 3, scale * 9000),
      outOctets: this.#figure(seed + 4, scale * 90_000),
    };
  }

  /** Returns a number up to `scale` that differs with seed and time. */
  #figure(seed: number, scale: number): number {
    const x = Math.sin(seed * 12.9898 + this.#ticks * 0.7) * 43_758.5453;
    return Math.floor((x - Math.floor(x)) * scale);
  }
}

const nameOf = (i: number): string =>
  `${NAMES[i % NAMES.length]}${i < NAMES.length ? '' : Math.floor(i / NAMES.length) + 1}`;
