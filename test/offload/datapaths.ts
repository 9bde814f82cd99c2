/** One connection's packets through three datapaths: the forwarding methods, the program interpreted, the program in the kernel. */
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { ATTACH_TCX_INGRESS } from '../../src/ebpf/link.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import { testRun } from '../../src/ebpf/test-run.ts';
import { forwardingMethods } from '../../src/forwarding/index.ts';
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import type { Connection } from '../../src/model/connection.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import { ActionTable } from '../../src/offload/actions.ts';
import { FlowTable, flowTableOctets } from '../../src/offload/flow-table.ts';
import { Flows } from '../../src/offload/flows.ts';
import { type HookName, tc, xdp } from '../../src/offload/hooks.ts';
import { KernelOffload, type Way } from '../../src/offload/kernel-offload.ts';
import { ACTION, SERVICE_KEY, SERVICE_VALUE } from '../../src/offload/layout.ts';
import { forwarderCode } from '../../src/offload/program.ts';
import type { ServiceKeys } from '../../src/offload/services.ts';
import type { Block } from '../../src/sys/memory.ts';
import type { Address } from '../../src/wire/address.ts';
import { formatAddress, isV4 } from '../../src/wire/address.ts';
import { type MacAddress, parseMac } from '../../src/wire/ethernet.ts';
import { Packet } from '../../src/wire/packet.ts';
import { address, RecordedHost } from '../forwarding/recorded-host.ts';
import { interpret, type PacketFacts } from '../support/ebpf/hooks.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { ethernetOf, framed } from '../support/packets.ts';

export const HOOKS = { xdp, tc } as const;
/** Why nothing runs in a kernel here; undefined: it does. */
export const noKernel: string | undefined = 'why' in kernel ? kernel.why : undefined;

const mac = (text: string): MacAddress => parseMac(text)!;
/** What packets come to and from (those of a test run to the loopback device), and what they leave with. */
export const ARRIVED = { to: mac('00:00:00:00:00:00'), from: mac('02:00:00:00:00:c1') };
export const LEFT = { to: mac('02:00:00:00:00:aa'), from: mac('02:00:00:00:00:bb') };
/** The loopback device: in a test run nothing is sent to it. */
export const OUT = 1;
const TAP = 77;
export const SLOTS = 64;
const ACTIONS = 16;
const SEED = 0x12345678;
export const MTU = 1500;

export const OWN4 = address('10.1.0.254');
export const OWN6 = address('fd01::fe');
export const wayTo =
  (vlan = 0, mtu = MTU) =>
  (to: Address): Way => ({ ...LEFT, interfaceIndex: OUT, vlan, mtu, source: isV4(to) ? OWN4 : OWN6 });

/** What became of a frame. `up`: to the director. */
export interface Outcome {
  readonly fate: 'forwarded' | 'up' | 'pass' | 'drop';
  /** The whole frame. */
  readonly frame: Uint8Array;
}

/** A program that runs over a frame. */
export type Runs = (frame: Uint8Array, facts?: PacketFacts) => Outcome;

/** Tables in this process's memory and a program over them, interpreted. `services`: which packets go up. */
export function interpretedTables(hook: HookName, services: () => ServiceKeys, acquire = false) {
  const memory = { 4: block(flowTableOctets(4, SLOTS)), 6: block(flowTableOctets(6, SLOTS)) };
  const actionMemory = block(ACTIONS * ACTION);
  const tables = {
    flows: { 4: { map: 1, slots: SLOTS }, 6: { map: 4, slots: SLOTS } },
    seed: SEED,
    actions: 2,
    actionCount: ACTIONS,
    acquire,
  };
  const code = forwarderCode({ hook: HOOKS[hook], tables, upcall: { interfaceIndex: TAP, services: 3 } });
  const arrays = new Map([
    [1, memory[4].bytes],
    [4, memory[6].bytes],
    [2, actionMemory.bytes],
  ]);
  const run: Runs = (frame, facts) => {
    const maps = { arrays, hashes: new Map([[3, services()]]) };
    const { result, packet, interfaceIndex } = interpret(hook, code, frame, maps, facts);
    return outcomeOf(hook, result, packet, interfaceIndex);
  };
  return { ...tablesIn(memory, actionMemory), run };
}

function tablesIn(memory: Readonly<Record<4 | 6, Block>>, actions: Block) {
  const [four, six] = ([4, 6] as const).map(
    (version) => new FlowTable(version, memory[version], SLOTS, SEED),
  );
  return { flows: new Flows(four!, six!), actions: new ActionTable(actions, ACTIONS) };
}

function outcomeOf(hook: HookName, result: number, frame: Uint8Array, to?: number): Outcome {
  const redirect = hook === 'xdp' ? 4 : 7;
  const { pass, drop } = HOOKS[hook];
  if (result === redirect) return { fate: to === TAP ? 'up' : 'forwarded', frame };
  if (result === pass) return { fate: 'pass', frame };
  if (result === drop) return { fate: 'drop', frame };
  throw new Error(`the program returned ${result}`);
}

/** Tables and a program, and the offload that fills them. */
export class Datapath {
  readonly hook: HookName;
  readonly flows: Flows;
  readonly actions: ActionTable;
  readonly offload: KernelOffload;
  readonly reports: [row: number, packets: number, octets: number, isReply: boolean][] = [];
  connections: readonly Connection[] = [];
  vlan = 0;
  mtu = MTU;
  /** Addresses that are reached by a separate VLAN. */
  readonly detours = new Map<string, number>();
  readonly run: Runs;

  private constructor(hook: HookName, { flows, actions }: Pick<Datapath, 'flows' | 'actions'>, run: Runs) {
    this.hook = hook;
    this.run = run;
    this.flows = flows;
    this.actions = actions;
    this.offload = new KernelOffload({
      flows: this.flows,
      actions: this.actions,
      grace: () => Promise.resolve(),
      connection: (row) => this.connections[row]!,
      way: (to) => wayTo(this.detours.get(formatAddress(to)) ?? this.vlan, this.mtu)(to),
      ignoresDf: () => false,
      clock: () => 0,
      report: (row, packets, octets, _at, isReply) => this.reports.push([row, packets, octets, isReply]),
      failed: (error) => {
        throw error;
      },
    });
  }

  static interpreted(hook: HookName, services: ServiceKeys = new Map(), acquire = false): Datapath {
    const tables = interpretedTables(hook, () => services, acquire);
    return new Datapath(hook, tables, tables.run);
  }

  /** Needs a kernel. A test run does not tell where a packet was redirected to. */
  static inKernel(hook: HookName): Datapath {
    const bpf = kernel as Bpf;
    const flowMap = (version: 4 | 6) =>
      new BpfMap(bpf, {
        type: 'array',
        keySize: 4,
        valueSize: flowTableOctets(version, SLOTS),
        entries: 1,
        mapped: true,
      });
    const [four, six] = [flowMap(4), flowMap(6)];
    const actions = new BpfMap(bpf, {
      type: 'array',
      keySize: 4,
      valueSize: ACTIONS * ACTION,
      entries: 1,
      mapped: true,
    });
    const services = new BpfMap(bpf, {
      type: 'hash',
      keySize: SERVICE_KEY,
      valueSize: SERVICE_VALUE,
      entries: 16,
    });
    const code = forwarderCode({
      hook: HOOKS[hook],
      tables: {
        flows: { 4: { map: four.descriptor, slots: SLOTS }, 6: { map: six.descriptor, slots: SLOTS } },
        seed: SEED,
        actions: actions.descriptor,
        actionCount: ACTIONS,
        acquire: false,
      },
      upcall: { interfaceIndex: TAP, services: services.descriptor },
    });
    const program = new Program(bpf, {
      type: hook === 'xdp' ? 'xdp' : 'schedulerClassifier',
      name: `lvs_${hook}`,
      code,
      attachType: hook === 'tc' ? ATTACH_TCX_INGRESS : 0,
    });
    return new Datapath(hook, tablesIn({ 4: four.mapped(), 6: six.mapped() }, actions.mapped()), (frame) => {
      const { result, packet } = testRun(bpf, program, frame);
      return outcomeOf(hook, result, packet);
    });
  }

  /** Makes these the connections, by their rows, and installs them; which were taken. */
  install(...connections: Connection[]): boolean[] {
    for (const row of this.connections.keys()) this.offload.remove(row);
    this.flows.free(this.flows.takeRetired());
    this.actions.free(this.actions.takeRetired());
    this.connections = connections;
    this.reports.length = 0;
    return connections.map((_, row) => this.offload.install(row));
  }
}

function block(octets: number): Block {
  const buffer = new ArrayBuffer(octets);
  return { address: 0, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** What the director's forwarding method makes of an IP packet. */
export function typescript(
  octets: Uint8Array,
  connection: Connection,
  isReply = false,
  mtu = MTU,
): { readonly verdict: Verdict; readonly sent: readonly Uint8Array[] } {
  const host = new RecordedHost(mtu);
  const context: ForwardingContext = {
    host: {
      transmit: (frame, nextHop) => host.transmit(frame, nextHop),
      isLocal: () => false,
      route: (to) => ({ mtu, source: isV4(to) ? OWN4 : OWN6 }),
    },
    settings: DEFAULT_SETTINGS,
    nextId: () => 1,
  };
  const packet = new Packet();
  if (!packet.decode(framed(octets))) return { verdict: 'malformed', sent: [] };
  const method = forwardingMethods[connection.method];
  const verdict = isReply
    ? method.reply!(packet, connection, context)
    : method.request(packet, connection, context);
  return { verdict, sent: host.sent.map((each) => each.octets) };
}

/** An IP packet as it arrives: an Ethernet frame, with a tag, padded. */
export function arriving(octets: Uint8Array, vlan = 0): Uint8Array {
  const plain = ethernetOf(octets, ARRIVED.to, ARRIVED.from);
  const tagged = vlan === 0 ? plain : withTag(plain, vlan);
  if (tagged.length >= 60) return tagged;
  const padded = new Uint8Array(60);
  padded.set(tagged);
  return padded;
}

function withTag(frame: Uint8Array, vlan: number): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), 0x81, 0x00, vlan >> 8, vlan & 0xff, ...frame.subarray(12));
}

/** The IP packet in a frame, padding taken off. */
export function ipOf(frame: Uint8Array): Uint8Array {
  const at = frame[12] === 0x81 ? 18 : 14;
  const packet = new Packet();
  const held = framed(frame.subarray(at));
  if (!packet.decode(held)) throw new Error('no IP packet in the frame');
  return frame.slice(at, at + packet.end - packet.network);
}
