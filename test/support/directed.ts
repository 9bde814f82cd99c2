/** A director between scripted clients and servers, with endpoints and packet lines as input and output. */
import { Director, type DirectorOptions } from '../../src/director/director.ts';
import type { Host, Route } from '../../src/forwarding/method.ts';
import type { DestinationOptions } from '../../src/model/destination.ts';
import type { Protocol, ServiceAddress, ServiceOptions } from '../../src/model/service.ts';
import type { SettingName } from '../../src/model/settings.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../../src/model/snapshot.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import { type Address, formatAddress, isV4, parseAddress } from '../../src/wire/address.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { printFrame } from '../../src/wire/print.ts';
import { framed, frameOf } from './packets.ts';

/** VIP, director and servers of these tests, as in the documentation networks (RFC 5737, RFC 3849). */
export const VIP = '192.0.2.80';
export const OWN = '10.0.0.254';
export const OWN6 = 'fd00::fe';

/** `address:port` or `[address]:port` apart. */
export function endpoint(text: string): { address: string; port: number } {
  const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text);
  if (!match) throw new Error(`no endpoint: ${text}`);
  return { address: match[1]!, port: Number(match[2]) };
}

/** `tcp 192.0.2.80:80`, or `mark 7`, or `mark6 7`. */
export function serviceName(text: string): ServiceAddress {
  const [what, rest] = text.split(' ') as [string, string];
  if (what.startsWith('mark')) return { mark: Number(rest), family: what === 'mark6' ? 6 : 4 };
  return { protocol: what as Protocol, ...endpoint(rest) };
}

/** Random numbers in a fixed order. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export class Directed implements Host {
  readonly director: Director;
  /** What was sent: `packet line via next hop`. */
  sent: string[] = [];
  /** ms. */
  now = 0;
  /** Addresses of the director itself. */
  readonly own = new Set([VIP, OWN, OWN6]);
  readonly #route4: Route = { mtu: 1500, source: parseAddress(OWN)! };
  readonly #route6: Route = { mtu: 1500, source: parseAddress(OWN6)! };

  constructor(options: Partial<DirectorOptions> = {}) {
    this.director = new Director({ host: this, random: seeded(1), maxConnections: 4096, ...options });
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    this.sent.push(`${printFrame(frame)} via ${formatAddress(nextHop)}`);
    return true;
  }

  route(to: Address): Route {
    return isV4(to) ? this.#route4 : this.#route6;
  }

  isLocal(address: Address): boolean {
    return this.own.has(formatAddress(address));
  }

  /** Adds a service and its destinations, `10.0.0.1:80` each, in this order. */
  serve(
    name: string,
    destinations: readonly string[],
    options: Partial<ServiceOptions & DestinationOptions> = {},
  ) {
    const { method = 'nat', weight = 1, upperThreshold = 0, lowerThreshold = 0, tunnel, ...rest } = options;
    const its = { method, weight, upperThreshold, lowerThreshold, ...(tunnel && { tunnel }) };
    const service = serviceName(name);
    this.director.apply({ op: 'add-service', service, options: { scheduler: 'rr', ...rest } }, this.now);
    for (const destination of destinations) this.add(name, destination, its);
    return this;
  }

  add(name: string, destination: string, options: Partial<DestinationOptions> = {}): void {
    const command = { service: serviceName(name), destination: endpoint(destination) };
    this.director.apply(
      { op: 'add-destination', ...command, options: { method: 'nat', ...options } },
      this.now,
    );
  }

  edit(name: string, destination: string, options: Partial<DestinationOptions> = {}): void {
    const command = { service: serviceName(name), destination: endpoint(destination) };
    this.director.apply(
      { op: 'edit-destination', ...command, options: { method: 'nat', ...options } },
      this.now,
    );
  }

  remove(name: string, destination: string): void {
    const command = { service: serviceName(name), destination: endpoint(destination) };
    this.director.apply({ op: 'delete-destination', ...command }, this.now);
  }

  drop(name: string): void {
    this.director.apply({ op: 'delete-service', service: serviceName(name) }, this.now);
  }

  set(name: SettingName, value: number): void {
    this.director.apply({ op: 'set', name, value }, this.now);
  }

  /** Hands the director the packet of a line. */
  receive(line: string): Verdict {
    return this.receiveFrame(frameOf(line));
  }

  receiveOctets(octets: Uint8Array): Verdict {
    return this.receiveFrame(framed(octets));
  }

  receiveFrame(frame: Frame): Verdict {
    this.sent = [];
    return this.director.handle(frame, this.now);
  }

  /** The next hop that the packet of a line was sent to, or the verdict where it was not sent on. */
  way(line: string): string {
    const verdict = this.receive(line);
    return verdict === 'forwarded' ? this.sent[0]!.split(' via ')[1]! : verdict;
  }

  /** Lets time pass, s. */
  wait(seconds: number): void {
    this.now += seconds * 1000;
    this.director.expire(this.now);
  }

  /** `TCP SYN_RECV 203.0.113.7:4000 192.0.2.80:80 10.0.0.1:80`, in order; templates too. */
  get connections(): string[] {
    return [...this.director.connections(this.now)]
      .map(
        (c) =>
          `${c.protocol} ${c.state} ${c.clientAddress}:${c.clientPort} ${c.virtualAddress}:${c.virtualPort} ${c.destinationAddress}:${c.destinationPort}`,
      )
      .sort();
  }

  /** State of the only connection. */
  get state(): string {
    const [line, ...others] = this.connections;
    if (line === undefined || others.length > 0) throw new Error(`${others.length} other connections`);
    return line.split(' ')[1]!;
  }

  service(name: string): ServiceSnapshot {
    const wanted = JSON.stringify(serviceName(name), Object.keys(serviceName(name)).sort());
    const found = this.director
      .snapshot(this.now)
      .services.find(({ service }) => JSON.stringify(service, Object.keys(service).sort()) === wanted);
    if (!found) throw new Error(`no service ${name}`);
    return found;
  }

  destination(name: string, at: string): DestinationSnapshot {
    const { address, port } = endpoint(at);
    const found = this.service(name).destinations.find((d) => d.address === address && d.port === port);
    if (!found) throw new Error(`no destination ${at}`);
    return found;
  }

  /** `active/inactive/persistent` of a destination. */
  counts(name: string, at: string): string {
    const { activeConnections, inactiveConnections, persistentConnections } = this.destination(name, at);
    return `${activeConnections}/${inactiveConnections}/${persistentConnections}`;
  }
}
