/** Creates the memory that the director shares with its programs in the kernel. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { ActionTable } from './actions.ts';
import { FlowTable, flowTableOctets } from './flow-table.ts';
import { Flows } from './flows.ts';
import { ACTION } from './layout.ts';
import type { TableOf, Tables } from './lookup.ts';

/** Actions: a few for each destination, and one for each neighbor that NAT replies are sent to. */
const ACTIONS = 65_536;

export interface KernelTables {
  readonly flows: Flows;
  readonly actions: ActionTable;
  /** What programs are emitted for. */
  readonly tables: Tables;
  /** Bytes of kernel memory that all tables take. */
  readonly octets: number;
}

export interface KernelTablesOptions {
  /** IPv4 flows; NAT needs two for each connection. At least twice as many slots make a full window improbable. */
  readonly flows: number;
  /** IPv6 flows, if not as many. */
  readonly flows6?: number;
  /** 32 random bits, which must stay secret. */
  readonly seed: number;
  readonly actions?: number;
  /** As in Tables; by default what this machine needs. */
  readonly acquire?: boolean;
}

/** Throws SystemCallError: ENOMEM if memory is short. */
export function openKernelTables(bpf: Bpf, options: KernelTablesOptions): KernelTables {
  const { seed, actions = ACTIONS, acquire = process.arch === 'arm64' } = options;
  const four = openFlowTable(bpf, 4, options.flows, seed);
  const six = openFlowTable(bpf, 6, options.flows6 ?? options.flows, seed);
  const actionMap = arrayOf(bpf, 'lvs_actions', actions * ACTION);
  return {
    flows: new Flows(four.table, six.table),
    actions: new ActionTable(actionMap.mapped(), actions),
    tables: {
      flows: { 4: four.forPrograms, 6: six.forPrograms },
      seed,
      actions: actionMap.descriptor,
      actionCount: actions,
      acquire,
    },
    octets: four.octets + six.octets + actions * ACTION,
  };
}

function openFlowTable(bpf: Bpf, version: 4 | 6, flows: number, seed: number) {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(64, flows * 2)));
  const octets = flowTableOctets(version, slots);
  const map = arrayOf(bpf, `lvs_flows${version}`, octets);
  return {
    table: new FlowTable(version, map.mapped(), slots, seed),
    forPrograms: { map: map.descriptor, slots } satisfies TableOf,
    octets,
  };
}

/** Creates an array of one value, in bytes, that this process maps into its memory. */
const arrayOf = (bpf: Bpf, name: string, octets: number): BpfMap =>
  new BpfMap(bpf, { type: 'array', name, keySize: 4, valueSize: octets, entries: 1, mapped: true });
