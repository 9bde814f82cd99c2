/** The offload's memory in the kernel: made once, shared by the director and its programs. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { ActionTable } from './actions.ts';
import { FlowTable, flowTableOctets } from './flow-table.ts';
import { ACTION } from './layout.ts';
import type { Tables } from './lookup.ts';

/** Kinds of treatment at a time: a few for each destination, and one for each neighbour that NAT replies go to. */
const ACTIONS = 65_536;

export interface KernelTables {
  readonly flows: FlowTable;
  readonly actions: ActionTable;
  /** For the programs. */
  readonly tables: Tables;
  /** Octets of both, which the kernel keeps in memory. */
  readonly octets: number;
}

export interface KernelTablesOptions {
  /** Flows at a time; there are twice as many slots at least, so that hardly one finds no place. NAT needs two a connection. */
  readonly flows: number;
  /** 32 random bits, secret. */
  readonly seed: number;
  readonly actions?: number;
  /** As in Tables; what this machine needs, unless said otherwise. */
  readonly acquire?: boolean;
}

/** Throws SystemCallError, such as ENOMEM. */
export function openKernelTables(bpf: Bpf, options: KernelTablesOptions): KernelTables {
  const { seed, actions = ACTIONS, acquire = process.arch === 'arm64' } = options;
  const slots = 2 ** Math.ceil(Math.log2(Math.max(64, options.flows * 2)));
  const flowMap = arrayOf(bpf, 'lvs_flows', flowTableOctets(slots));
  const actionMap = arrayOf(bpf, 'lvs_actions', actions * ACTION);
  return {
    flows: new FlowTable(flowMap.mapped(), slots, seed),
    actions: new ActionTable(actionMap.mapped(), actions),
    tables: {
      flows: flowMap.descriptor,
      slots,
      seed,
      actions: actionMap.descriptor,
      actionCount: actions,
      acquire,
    },
    octets: flowTableOctets(slots) + actions * ACTION,
  };
}

/** One value of that many octets, in memory that both sides see. */
const arrayOf = (bpf: Bpf, name: string, octets: number): BpfMap =>
  new BpfMap(bpf, { type: 'array', name, keySize: 4, valueSize: octets, entries: 1, mapped: true });
