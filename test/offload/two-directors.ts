/** Two directors in the same world: one alone, one whose kernel path forwards what it knows by the interpreted program. */
import { expect } from 'vitest';
import { scopeOf } from '../../src/director/access-lists.ts';
import type { DirectorOptions } from '../../src/director/director.ts';
import { GRE } from '../../src/forwarding/gre.ts';
import type { Route } from '../../src/forwarding/method.ts';
import { decodeTunnelled } from '../../src/forwarding/tunnel-error.ts';
import type { ListKind } from '../../src/model/access-list.ts';
import type { ServiceSnapshot } from '../../src/model/snapshot.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import { type AdmissionParts, admissionCode, onePacketCode } from '../../src/offload/admit.ts';
import type { ClientRoutes } from '../../src/offload/client-routes.ts';
import { markedCode } from '../../src/offload/marked.ts';
import { markedRules } from '../../src/offload/marks.ts';
import type { NextHop } from '../../src/offload/next-hops.ts';
import { forwarderCode } from '../../src/offload/program.ts';
import { scheduleCode } from '../../src/offload/schedule/program.ts';
import { ADMIT, FORWARD_ONCE, MARKED, PERSIST } from '../../src/offload/scratch.ts';
import { serviceNumbers, serviceValue } from '../../src/offload/services.ts';
import { templateCode } from '../../src/offload/template.ts';
import { KernelForwarding } from '../../src/runtime/kernel/kernel-forwarding.ts';
import { KernelLists } from '../../src/runtime/kernel/kernel-lists.ts';
import { SCHEDULER, SETTINGS } from '../../src/table/record-layout.ts';
import { SettingsRecord } from '../../src/table/settings-record.ts';
import { type Address, formatAddress, isV4, parseAddress } from '../../src/wire/address.ts';
import { type MacAddress, parseMac } from '../../src/wire/ethernet.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { Packet } from '../../src/wire/packet.ts';
import { type Prefix, parsePrefix } from '../../src/wire/prefix.ts';
import { checksumHolds } from '../../src/wire/transport-checksum.ts';
import { UDP, UDP_CHECKSUM } from '../../src/wire/udp.ts';
import { Directed, OWN, OWN6, serviceName } from '../support/directed.ts';
import { interpret } from '../support/ebpf/hooks.ts';
import { framed } from '../support/packets.ts';
import { serviceKeys } from '../support/service-keys.ts';
import { keepSlicesWhole } from '../support/whole-slices.ts';
import { arriving, HOOKS, ipOf, type Outcome, outcomeOf, TAP } from './datapaths.ts';
import { SCHEDULERS } from './scheduled.ts';
import { arraysOf, SERVICE_MAP, sharedTable, TestMaps, TestMemory, TICK } from './shared-table.ts';

// Packets come without a turn of the event loop.
keepSlicesWhole();

/** The director of the comparison: all packets go through it. */
export class Alone extends Directed {
  /** Octets, of all links. */
  mtu = 1500;
  /** All that left it: octets and next hop. */
  readonly log: string[] = [];

  constructor(options: Partial<DirectorOptions> = {}) {
    super({ maxConnections: 128, limitErrors: false, ...options });
    for (const address of OWN_ADDRESSES) this.own.add(address);
  }

  override transmit(frame: Frame, nextHop: Address): boolean {
    this.log.push(sending(frame.copy(), nextHop));
    return true;
  }

  override route(to: Address): Route {
    return { mtu: this.mtu, source: parseAddress(isV4(to) ? OWN : OWN6)! };
  }

  /** Adds an entry of a deny or allow list of a service, or of all, or removes it. */
  access(list: ListKind, service: string | undefined, text: string, isPresent: boolean): void {
    const { access } = this.director.context;
    const scope = scopeOf(service === undefined ? undefined : serviceName(service));
    if (isPresent) access.add(list, scope, prefixOf(text), true);
    else access.delete(list, scope, prefixOf(text));
  }

  /** Services and destinations are as they will be for a while. */
  settle(): void {}

  /** What others forwarded is known. */
  sweep(): void {}

  /** All that can be seen of it, rates and statistics included; packets by verdict apart. */
  get seen() {
    const { services: all, stats, rates, drops, counts, timeouts } = this.director.snapshot(this.now);
    const services = all.map(({ admission: _, ...service }) => service);
    const { admitted, templated, scheduled, refused, expired, reused } = counts;
    return {
      ...{ services, stats, rates, drops, timeouts },
      counts: { admitted, templated, scheduled, refused, expired, reused },
      connections: this.connections,
    };
  }

  /** Seconds that each connection has left. */
  get left(): ReadonlyMap<string, number> {
    return new Map(
      [...this.director.connections(this.now)].map(({ expires, ...rest }) => [JSON.stringify(rest), expires]),
    );
  }
}

/** Offset of the checksum in a GRE header that has one; else it is in the inner header. */
const GRE_CHECKSUM = 4;
const OWN_ADDRESSES = ['192.0.2.81', '2001:db8::80'];

/** The same with a kernel path: what the interpreted program does not forward goes through the director. */
export class Offloaded extends Alone {
  /** Packets that the program forwarded. */
  forwarded = 0;
  /** What others do while programs handle a packet and read the clock, for the `reads`-th time. */
  onClock: (reads: number) => void = () => {};
  /** Unknown neighbors. */
  readonly missing = new Set<string>();
  /** The clients that programs know. */
  readonly clients: ClientRoutes;
  readonly #forwarding: KernelForwarding;
  readonly #memory: TestMemory;
  readonly #hook: 'xdp' | 'tc';
  readonly #parts: AdmissionParts;
  readonly #code: Uint8Array<ArrayBuffer>;
  /** Every service and destination since the last time that there was none. */
  readonly #known = new Map<string, ServiceSnapshot>();
  readonly #hops = new Map<string, Address>();
  #services: ReadonlyMap<string, Uint8Array> = new Map();
  readonly #maps: TestMaps;
  readonly #lists: KernelLists;
  /** Programs of schedulers by number. */
  readonly programs: Map<number, Uint8Array<ArrayBuffer>>;

  constructor(hook: 'xdp' | 'tc') {
    const maps = new TestMaps();
    const shared = sharedTable(new TestMemory(), 128, 7, maps);
    super(shared);
    this.#maps = maps;
    this.clients = shared.clients;
    this.#lists = new KernelLists({
      ...{ map: maps.access, director: this.director, memory: shared.memory },
      failed(error) {
        throw error;
      },
    });
    this.programs = maps.programs;
    this.#hook = hook;
    this.#memory = shared.memory;
    const parts = {
      hook: HOOKS[hook],
      arrays: arraysOf(shared),
      upcall: { interfaceIndex: TAP, services: SERVICE_MAP },
    };
    this.#parts = parts;
    this.#code = forwarderCode(parts);
    maps.programs.set(ADMIT, admissionCode(parts));
    maps.programs.set(FORWARD_ONCE, onePacketCode(parts));
    maps.programs.set(PERSIST, templateCode(parts));
    for (const scheduler of SCHEDULERS)
      maps.programs.set(SCHEDULER[scheduler], scheduleCode(scheduler, parts));
    this.#forwarding = new KernelForwarding(this.director, shared, (to) => this.#hop(to));
  }

  /** Connections that programs made. */
  get admitted(): number {
    return this.#forwarding.admittedByPrograms;
  }

  /** Writes a field of the settings' record. */
  setting(field: number, value: number): void {
    new SettingsRecord(this.#memory).set(field, value);
  }

  override receiveFrame(frame: Frame): Verdict {
    const { fate, frame: after } = this.#run(arriving(frame.copy()));
    if (fate === 'up') return super.receiveFrame(framed(ipOf(after)));
    if (fate !== 'forwarded') return 'pass';
    this.forwarded++;
    this.log.push(sending(ipOf(after), this.#hops.get(after.subarray(0, 6).join())!));
    return 'forwarded';
  }

  override access(list: ListKind, service: string | undefined, text: string, isPresent: boolean): void {
    super.access(list, service, text, isPresent);
    this.#lists.change(
      list,
      service === undefined ? undefined : serviceName(service),
      prefixOf(text),
      isPresent,
    );
  }

  override settle(): void {
    void this.#lists.review();
    const { services } = this.director.snapshot(this.now);
    // For how long removed ones are withheld: owned-packets.test.ts.
    if (services.length === 0) this.#known.clear();
    for (const each of services) {
      const key = JSON.stringify(each.service);
      const destinations = [...(this.#known.get(key)?.destinations ?? []), ...each.destinations];
      this.#known.set(key, { ...each, destinations });
    }
    const keys = serviceKeys({
      services: [...this.#known.values()],
      own: [...this.own].map((address) => parseAddress(address)!),
    });
    void this.#forwarding.review();
    const { services: registry, marks } = this.director.context;
    const numbers = serviceNumbers(registry.all);
    const owned = [...this.#known.values()].map(({ service }) => service);
    const rules = markedRules(marks.matchers, owned, registry.all);
    this.programs.set(MARKED, markedCode(this.#parts, rules));
    this.setting(SETTINGS.marked, rules.length > 0 ? 1 : 0);
    this.#services = new Map(
      [...keys].map(([key, flags]) => [key, serviceValue(flags, numbers.get(key) ?? 0)]),
    );
  }

  override sweep(): void {
    const { length } = this.director.context.destinations.all;
    for (let destination = 1; destination < length; destination++) this.#forwarding.collect(destination);
    this.#forwarding.check(false);
  }

  #run(frame: Uint8Array): Outcome {
    const jiffies = () => {
      this.onClock(++reads);
      return BigInt(Math.floor(this.now / TICK));
    };
    let reads = 0;
    const maps = {
      ...this.#maps.with(this.#memory, this.#services),
      get jiffies() {
        return jiffies();
      },
    };
    const { result, packet, interfaceIndex } = interpret(this.#hook, this.#code, frame, maps);
    return outcomeOf(this.#hook, result, packet, interfaceIndex);
  }

  #hop(to: Address): NextHop | undefined {
    if (this.missing.has(formatAddress(to))) return undefined;
    const mac = macOf(to);
    this.#hops.set(mac.join(), to.slice());
    const { mtu, source } = this.director.context.forwarding.host.route(to)!;
    return { interfaceIndex: 1, to: mac, from: FROM, vlan: 0, mtu, source, isNeighbor: true };
  }
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (typeof prefix === 'string') throw new Error(`${text}: ${prefix}`);
  return prefix;
}

const FROM = parseMac('02:00:00:00:00:bb')!;

/** Another one for each address of a test. */
const macOf = (to: Address): MacAddress =>
  Uint8Array.of(2, to[0]! >>> 24, to[3]! >>> 24, (to[3]! >>> 16) & 255, (to[3]! >>> 8) & 255, to[3]! & 255);

const sending = (octets: Uint8Array, nextHop: Address): string =>
  `${Buffer.from(withoutOuterSum(octets)).toString('hex')} via ${formatAddress(nextHop)}`;

/**
 * Clears the checksum of a tunnel around a packet whose own one is wrong: programs derive one from the other, so theirs is wrong,
 * too. The real server drops the packet either way.
 */
function withoutOuterSum(octets: Uint8Array): Uint8Array {
  const outer = new Packet();
  const inner = new Packet();
  if (!outer.decode(framed(octets)) || !decodeTunnelled(outer, inner) || checksumHolds(inner)) return octets;
  const at = outer.protocol === UDP ? UDP_CHECKSUM : GRE_CHECKSUM;
  if (outer.protocol === UDP || outer.protocol === GRE)
    octets.fill(0, outer.transport - outer.network + at, outer.transport - outer.network + at + 2);
  return octets;
}

/** What was sent since it was looked at last, and all that can be seen now; times to three seconds, since the rows are read once a second. */
export function expectSame(alone: Alone, offloaded: Offloaded): void {
  offloaded.sweep();
  expect(offloaded.log.splice(0)).toEqual(alone.log.splice(0));
  expect(offloaded.seen).toEqual(alone.seen);
  for (const [connection, left] of alone.left)
    expect(Math.abs(offloaded.left.get(connection)! - left), connection).toBeLessThanOrEqual(3);
}
