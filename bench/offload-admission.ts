/** ns that programs take to admit a new connection, from its SYN to the packet that leaves, under BPF_PROG_TEST_RUN at XDP. */
import { cpus } from 'node:os';
import { scopeOf } from '../src/director/access-lists.ts';
import { requireService } from '../src/director/administration.ts';
import { ConnectionTable } from '../src/director/connections.ts';
import type { Director } from '../src/director/director.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import type { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import { admissionCode } from '../src/offload/admit.ts';
import { kernelArrays } from '../src/offload/arrays.ts';
import { ClientRoutes } from '../src/offload/client-routes.ts';
import { xdp } from '../src/offload/hooks.ts';
import { KernelMemory } from '../src/offload/kernel-memory.ts';
import { NextHops } from '../src/offload/next-hops.ts';
import { forwarderCode } from '../src/offload/program.ts';
import { ProgramTable } from '../src/offload/program-table.ts';
import { SchedulerPrograms } from '../src/offload/schedule/loading.ts';
import { ADMIT } from '../src/offload/scratch.ts';
import { ServiceMap } from '../src/offload/service-map.ts';
import { serviceNumbers } from '../src/offload/services.ts';
import { KernelForwarding } from '../src/runtime/kernel-forwarding.ts';
import { KernelLists } from '../src/runtime/kernel-lists.ts';
import { ProcessorCounters } from '../src/table/counters.ts';
import { SETTINGS_BYTES } from '../src/table/record-layout.ts';
import { Ticks } from '../src/table/ticks.ts';
import { parseAddress } from '../src/wire/address.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { ADDRESS_BITS, parsePrefix } from '../src/wire/prefix.ts';
import { Directed } from '../test/support/directed.ts';
import { ethernetOf } from '../test/support/packets.ts';
import { median } from './offload-cost.ts';
import { load, swapAndSend, wrapper } from './offload-wrapper.ts';

/** Schedulers, numbers of destinations, and of denied addresses. */
export const ADMISSIONS = [
  ['rr', 16, 0],
  ['wlc', 16, 0],
  ['wlc', 64, 0],
  ['wlc', 256, 0],
  ['wlc', 1024, 0],
  ['rr', 16, 1],
  ['rr', 16, 100_000],
  ['wlc', 16, 100_000],
] as const;

const SEED = 0x2545f491;
const TICK_MS = 4;
/** New connections of a round, for which the table has room without an annex. */
const FLOWS = 16_384;
const LIMIT = 4 * FLOWS;
const RECORDS = 4096;
/** The loopback device, which packets of a test run come in by. */
const LOOPBACK = 1;
const TAP = 77;
const MACS = { to: new Uint8Array(6), from: Uint8Array.of(2, 0, 0, 0, 0, 2) };
const SOURCE = parseAddress('10.1.2.254')!;
const CLIENT_NETWORK = 10;
const CLIENTS = parseAddress('10.0.0.0')!;
const CLIENT_BITS = ADDRESS_BITS - 32 + 8;
const SERVICE = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
const REDIRECTED = 4;
const SENT = 3;

/** Yields the medians of the rounds, above a program that only changes MAC addresses and sends. */
export async function* admissions(
  bpf: Bpf,
  rounds: number,
): AsyncIterable<readonly [string, number, number, number]> {
  const scene = new Scene(bpf);
  for (const [scheduler, destinations, denied] of ADMISSIONS) {
    await scene.serve(scheduler, destinations);
    scene.deny(denied);
    scene.round();
    const measured = Array.from({ length: rounds }, () => scene.round());
    yield [scheduler, destinations, denied, median(measured)];
  }
}

/** A director whose programs admit. */
class Scene {
  readonly #bpf: Bpf;
  readonly #director: Director;
  readonly #forwarding: KernelForwarding;
  readonly #services: ServiceMap;
  readonly #schedulers: SchedulerPrograms;
  readonly #table: ConnectionTable;
  readonly #lists: KernelLists;
  #denied = 0;
  readonly #known: Program;
  readonly #swap: Program;
  readonly #frame: Uint8Array;

  constructor(bpf: Bpf) {
    const memory = new KernelMemory(bpf);
    const ticks = new Ticks(TICK_MS);
    const table = new ConnectionTable({ limit: LIMIT, seed: SEED, memory, ticks });
    memory.reserve('settings', SETTINGS_BYTES);
    const processors = cpus().length;
    const counters = new ProcessorCounters(memory, processors, RECORDS);
    const nextHops = new NextHops(memory);
    const arrays = kernelArrays(bpf, memory, {
      ...{ places: table.homes, secrets: table.secrets, capacity: table.places },
      ...{ records: RECORDS, processors },
      clock: { tickMs: TICK_MS, shift: 0, offset: 0n },
    });
    const clients = new ClientRoutes(arrays.clientMap);
    const { director } = new Directed({ memory, table, ticks });
    const hop = { ...MACS, interfaceIndex: LOOPBACK, vlan: 0, mtu: 1500, source: SOURCE, isNeighbor: true };
    const shared = { memory, ticks, table, counters, nextHops, clients, records: RECORDS };
    this.#lists = new KernelLists({
      ...{ map: arrays.accessMap, director, memory },
      failed(error) {
        throw error;
      },
    });
    this.#forwarding = new KernelForwarding(director, shared, () => hop);
    const nextHop = nextHops.numberOf(hop, SOURCE);
    clients.setRoutes([{ to: CLIENTS, bits: CLIENT_BITS, interfaceIndex: LOOPBACK, nextHop }]);
    this.#services = new ServiceMap(bpf);
    this.#services.change({ added: [{ service: SERVICE }], removed: [], own: [] });
    const upcall = { interfaceIndex: TAP, services: this.#services.descriptor };
    const parts = { hook: xdp, arrays, upcall };
    const programs = new ProgramTable(bpf, 'xdp', arrays.programArray);
    programs.load(ADMIT, 'lvs_admit', admissionCode(parts));
    this.#schedulers = new SchedulerPrograms(programs, parts);
    this.#known = load(bpf, 'xdp', 'lvs_xdp', forwarderCode(parts));
    this.#swap = swapAndSend(bpf, 'xdp');
    this.#frame = ethernetOf(
      packetOfLine('10.0.0.1:10000 > 192.0.2.80:80 SYN len=10 DF'),
      MACS.to,
      MACS.from,
    );
    this.#bpf = bpf;
    this.#director = director;
    this.#table = table;
  }

  async serve(scheduler: string, destinations: number): Promise<void> {
    const director = this.#director;
    director.apply({ op: 'flush' }, 0);
    director.apply({ op: 'add-service', service: SERVICE, options: { scheduler } }, 0);
    for (let n = 0; n < destinations; n++) {
      const destination = { address: `10.1.${n >> 8}.${n & 255}`, port: 80 };
      const options = { method: 'dr', weight: 1 + (n % 10) } as const;
      director.apply({ op: 'add-destination', service: SERVICE, destination, options }, 0);
    }
    this.#schedulers.load(scheduler);
    this.#services.number(serviceNumbers(director.context.services.all));
    await this.#forwarding.review();
  }

  /** Denies so many addresses of all services, none of them a client's. */
  deny(count: number): void {
    for (; this.#denied < count; this.#denied++) {
      // Spread over all IPv4 addresses, so that the trie is as deep as it gets.
      const word = Math.imul(this.#denied + 1, SEED) >>> 0;
      const address = word >>> 24 === CLIENT_NETWORK ? word ^ 0x80000000 : word;
      const bytes = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255);
      const prefix = parsePrefix(bytes.join('.'));
      if (typeof prefix === 'string') throw new Error(prefix);
      this.#director.context.access.add('deny', scopeOf(undefined), prefix, true);
      this.#lists.change('deny', undefined, prefix, true);
    }
  }

  /** Returns ns a connection, above the baseline. */
  round(): number {
    const around = wrapper(this.#bpf, 'xdp', this.#frame, FLOWS);
    const measure = (program: Program, expected: number): number => {
      around.measure(program);
      const { result, nanoseconds } = testRun(this.#bpf, around.program, this.#frame, { repeat: FLOWS });
      if (result !== expected) throw new Error(`${program.name} returned ${result}: expected ${expected}`);
      return nanoseconds;
    };
    const baseline = measure(this.#swap, SENT);
    this.#clear();
    const ns = measure(this.#known, REDIRECTED);
    const admitted = [...this.#table.rows()].length;
    if (admitted !== FLOWS) throw new Error(`${admitted} connections admitted: expected ${FLOWS}`);
    return ns - baseline;
  }

  #clear(): void {
    for (const row of [...this.#table.rows()]) this.#table.remove(row);
    for (const each of requireService(this.#director.context, SERVICE).destinations) {
      each.addInactive(-each.inactiveConnections);
      each.addActive(-each.activeConnections);
    }
  }
}
