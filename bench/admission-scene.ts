/** A director whose programs admit connections, for benches: one service, and clients whose route is known. */
import { cpus } from 'node:os';
import { scopeOf } from '../src/director/access-lists.ts';
import { requireService } from '../src/director/administration.ts';
import { ConnectionTable } from '../src/director/connections.ts';
import type { Director } from '../src/director/director.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import type { Program } from '../src/ebpf/program.ts';
import { admissionCode } from '../src/offload/admit.ts';
import { kernelArrays } from '../src/offload/arrays.ts';
import { ClientRoutes } from '../src/offload/client-routes.ts';
import type { Hook } from '../src/offload/hooks.ts';
import { KernelMemory } from '../src/offload/kernel-memory.ts';
import { NextHops } from '../src/offload/next-hops.ts';
import { forwarderCode } from '../src/offload/program.ts';
import { ProgramTable } from '../src/offload/program-table.ts';
import { SchedulerPrograms } from '../src/offload/schedule/loading.ts';
import { ADMIT } from '../src/offload/scratch.ts';
import { ServiceMap } from '../src/offload/service-map.ts';
import { serviceNumbers } from '../src/offload/services.ts';
import { KernelForwarding } from '../src/runtime/kernel/kernel-forwarding.ts';
import { KernelLists } from '../src/runtime/kernel/kernel-lists.ts';
import { ProcessorCounters } from '../src/table/counters.ts';
import { SETTINGS_BYTES } from '../src/table/record-layout.ts';
import { Ticks } from '../src/table/ticks.ts';
import { parseAddress } from '../src/wire/address.ts';
import type { MacAddress } from '../src/wire/ethernet.ts';
import { ADDRESS_BITS, parsePrefix } from '../src/wire/prefix.ts';
import { Directed } from '../test/support/directed.ts';
import { load } from './offload-wrapper.ts';

const SEED = 0x2545f491;
const TICK_MS = 4;
const RECORDS = 4096;
const TAP = 77;
const SOURCE = parseAddress('10.1.2.254')!;
const CLIENT_NETWORK = 10;
const CLIENTS = parseAddress('10.0.0.0')!;
const CLIENT_BITS = ADDRESS_BITS - 32 + 8;
const SERVICE = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
/** A first packet of a client to the service. */
export const FIRST_PACKET = '10.0.0.1:10000 > 192.0.2.80:80 SYN len=10 DF';

export interface AdmissionSceneOptions {
  readonly hook: Hook;
  /** Indices of the interfaces by which new connections come and leave. */
  readonly ingress: number;
  readonly egress: number;
  /** MAC addresses of the next hop and of the director's interface. */
  readonly macs: { readonly to: MacAddress; readonly from: MacAddress };
  /** Connections for which the table has room. */
  readonly limit: number;
}

/** A director whose programs admit connections of one service. */
export class AdmissionScene {
  readonly #director: Director;
  readonly #forwarding: KernelForwarding;
  readonly #services: ServiceMap;
  readonly #schedulers: SchedulerPrograms;
  readonly #table: ConnectionTable;
  readonly #lists: KernelLists;
  #denied = 0;
  /** The program that receives packets. */
  readonly known: Program;

  constructor(bpf: Bpf, { hook, ingress, egress, macs, limit }: AdmissionSceneOptions) {
    const memory = new KernelMemory(bpf);
    const ticks = new Ticks(TICK_MS);
    const table = new ConnectionTable({ limit, seed: SEED, memory, ticks });
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
    const hop = { ...macs, interfaceIndex: egress, vlan: 0, mtu: 1500, source: SOURCE, isNeighbor: true };
    const shared = { memory, ticks, table, counters, nextHops, clients, records: RECORDS };
    this.#lists = new KernelLists({
      ...{ map: arrays.accessMap, director, memory },
      failed(error) {
        throw error;
      },
    });
    this.#forwarding = new KernelForwarding(director, shared, () => hop);
    const nextHop = nextHops.numberOf(hop, SOURCE);
    clients.setRoutes([{ to: CLIENTS, bits: CLIENT_BITS, interfaceIndex: ingress, nextHop }]);
    this.#services = new ServiceMap(bpf);
    this.#services.change({ added: [{ service: SERVICE }], removed: [], own: [] });
    const upcall = { interfaceIndex: TAP, services: this.#services.descriptor };
    const parts = { hook, arrays, upcall };
    const programs = new ProgramTable(bpf, hook.name, arrays.programArray);
    programs.load(ADMIT, 'lvs_admit', admissionCode(parts));
    this.#schedulers = new SchedulerPrograms(programs, parts);
    this.known = load(bpf, hook.name, `lvs_${hook.name}`, forwarderCode(parts));
    this.#director = director;
    this.#table = table;
  }

  async serve(scheduler: string, destinations: number, method: 'dr' | 'nat' = 'dr'): Promise<void> {
    const director = this.#director;
    director.apply({ op: 'flush' }, 0);
    director.apply({ op: 'add-service', service: SERVICE, options: { scheduler } }, 0);
    for (let n = 0; n < destinations; n++) {
      const destination = { address: `10.1.${n >> 8}.${n & 255}`, port: 80 };
      const options = { method, weight: 1 + (n % 10) };
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

  /** Connections that exist. */
  get connections(): number {
    return [...this.#table.rows()].length;
  }

  clear(): void {
    for (const row of [...this.#table.rows()]) this.#table.remove(row);
    for (const each of requireService(this.#director.context, SERVICE).destinations) {
      each.addInactive(-each.inactiveConnections);
      each.addActive(-each.activeConnections);
    }
  }
}
