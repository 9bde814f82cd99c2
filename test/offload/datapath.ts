/** A program over a table with chosen connections: interpreted, or in the kernel by test runs. */
import { MASQ, ROUTE, TUNNEL as TUNNELED } from '../../src/director/connection-flags.ts';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import { testRun } from '../../src/ebpf/test-run.ts';
import { type Connection, NONE } from '../../src/model/connection.ts';
import { kernelArrays } from '../../src/offload/arrays.ts';
import type { HookName } from '../../src/offload/hooks.ts';
import { KernelMemory } from '../../src/offload/kernel-memory.ts';
import { SERVICE_KEY, SERVICE_VALUE } from '../../src/offload/layout.ts';
import type { NextHop } from '../../src/offload/next-hops.ts';
import type { OwnMacs } from '../../src/offload/own-macs.ts';
import { forwarderCode } from '../../src/offload/program.ts';
import { type ServiceKeys, serviceValue } from '../../src/offload/services.ts';
import type { SharedTable } from '../../src/runtime/kernel/kernel-forwarding.ts';
import { portInPacketOrder } from '../../src/table/packet-order.ts';
import { DESTINATION, DESTINATION_FLAGS, SETTINGS, TUNNEL } from '../../src/table/record-layout.ts';
import { settingsWords } from '../../src/table/settings-record.ts';
import { type Address, formatAddress } from '../../src/wire/address.ts';
import { interpret } from '../support/ebpf/hooks.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { FIRST_ID, HOOKS, MTU, nextHopTo, outcomeOf, type Runs, TAP } from './datapaths.ts';
import {
  arraysOf,
  RECORDS,
  SERVICE_MAP,
  sharedTable,
  sizesOf,
  TestMaps,
  TestMemory,
} from './shared-table.ts';

const CONNECTIONS = 64;
const SEED = 0x12345678;
const FLAGS = { nat: MASQ, dr: ROUTE, tunnel: TUNNELED, local: MASQ } as const;

/** What a program counted for a destination: packets and bytes from clients, and from the destination. */
export type Counted = readonly [inPackets: number, inOctets: number, outPackets: number, outOctets: number];

export class Datapath {
  readonly hook: HookName;
  readonly run: Runs;
  vlan = 0;
  mtu = MTU;
  /** Addresses that are reached by a separate VLAN. */
  readonly detours = new Map<string, number>();
  readonly shared: SharedTable;

  private constructor(hook: HookName, shared: SharedTable, run: Runs) {
    this.hook = hook;
    this.shared = shared;
    this.run = run;
  }

  static interpreted(hook: HookName, services: ServiceKeys = new Map()): Datapath {
    const shared = sharedTable(new TestMemory(), CONNECTIONS, SEED);
    const { memory } = shared;
    const upcall = { interfaceIndex: TAP, services: SERVICE_MAP };
    const code = forwarderCode({ hook: HOOKS[hook], arrays: arraysOf(shared), upcall });
    const maps = new TestMaps();
    const values = new Map([...services].map(([key, flags]) => [key, serviceValue(flags, 0)]));
    return new Datapath(hook, shared, (frame, facts) => {
      const { result, packet, interfaceIndex } = interpret(
        hook,
        code,
        frame,
        maps.with(memory, values),
        facts,
      );
      return outcomeOf(hook, result, packet, interfaceIndex);
    });
  }

  /** Needs a kernel. A test run does not tell where a packet was redirected to. */
  static inKernel(hook: HookName, macs?: OwnMacs): Datapath {
    const bpf = kernel as Bpf;
    const shared = sharedTable(new KernelMemory(bpf), CONNECTIONS, SEED);
    const { memory } = shared;
    const services = new BpfMap(bpf, {
      type: 'hash',
      keySize: SERVICE_KEY,
      valueSize: SERVICE_VALUE,
      entries: 16,
    });
    const code = forwarderCode({
      hook: HOOKS[hook],
      arrays: kernelArrays(bpf, memory, sizesOf(shared)),
      upcall: { interfaceIndex: TAP, services: services.descriptor },
      macs: macs?.descriptor,
    });
    const program = new Program(bpf, {
      type: hook === 'xdp' ? 'xdp' : 'schedulerClassifier',
      name: `lvs_${hook}`,
      code,
      attachType: hook === 'tc' ? ATTACH_TCX_INGRESS : 0,
    });
    return new Datapath(hook, shared, (frame) => {
      const { result, packet } = testRun(bpf, program, frame);
      return outcomeOf(hook, result, packet);
    });
  }

  /** Makes this the only connection. */
  install(connection: Connection): void {
    const { protocol, caddr, cport, vaddr, vport, dport, destination, method } = connection;
    const { memory, table, nextHops } = this.shared;
    const { records } = table;
    settingsWords(memory)[SETTINGS.identification >> 2] = FIRST_ID;
    for (const row of [...table.rows()]) table.remove(row);
    this.counted();
    nextHops.withdrawAll();
    records.set(1, destination.address, dport);
    records.setWord(1, DESTINATION.flags, DESTINATION_FLAGS.AVAILABLE);
    records.setWord(1, DESTINATION.weight, 1);
    const { type, checksum, port } = destination.tunnel;
    records.setHalf(1, DESTINATION.tunnel, TUNNEL[type] | (checksum === 'none' ? 0 : TUNNEL[checksum]));
    records.setHalf(1, DESTINATION.tunnelPort, portInPacketOrder(port));
    const hop = (to: Address) => nextHops.numberOf(this.#hop(to), to);
    records.setHalf(1, DESTINATION.nextHop, hop(destination.address));
    const ends = { protocol, caddr, cport, vaddr, vport };
    const row = table.add(ends, { destination: 1, dport, flags: FLAGS[method], salt: 0 });
    if (row === NONE) throw new Error('no place for the connection');
    if (method === 'nat') table.setNextHop(row, hop(caddr));
    for (let call = 0; call < 2; call++) nextHops.reclaim(() => {});
  }

  /** Returns what the program counted since the last call. */
  counted(): Counted {
    let counted: Counted = [0, 0, 0, 0];
    for (let destination = 1; destination < RECORDS; destination++)
      this.shared.counters.collect(destination, (_destination, gained) => {
        counted = [gained[1]!, gained[3]!, gained[2]!, gained[4]!];
      });
    return counted;
  }

  #hop(to: Address): NextHop {
    return nextHopTo(this.detours.get(formatAddress(to)) ?? this.vlan, this.mtu)(to);
  }
}
