/** Two processors make, find and replace connections by the programs while the director ends them: nothing is lost or counted twice. */
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import type { DirectorCore } from '../../src/director/core.ts';
import { end } from '../../src/director/path/connection-lifecycle.ts';
import { assemble, SLOT } from '../../src/ebpf/assemble.ts';
import { type Bpf, setUint64 } from '../../src/ebpf/bpf.ts';
import { TAIL_CALL } from '../../src/ebpf/helper.ts';
import * as bpf from '../../src/ebpf/instruction.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import { NONE } from '../../src/model/connection.ts';
import { admissionCode } from '../../src/offload/admit.ts';
import { kernelArrays } from '../../src/offload/arrays.ts';
import { ClientRoutes } from '../../src/offload/client-routes.ts';
import { xdp } from '../../src/offload/hooks.ts';
import { KernelMemory } from '../../src/offload/kernel-memory.ts';
import { forwarderCode } from '../../src/offload/program.ts';
import { ProgramTable } from '../../src/offload/program-table.ts';
import { scheduleCode } from '../../src/offload/schedule/program.ts';
import { ADMIT, PERSIST } from '../../src/offload/scratch.ts';
import { ServiceMap } from '../../src/offload/service-map.ts';
import { serviceNumbers } from '../../src/offload/services.ts';
import { templateCode } from '../../src/offload/template.ts';
import { KernelForwarding } from '../../src/runtime/kernel/kernel-forwarding.ts';
import { allocate } from '../../src/sys/memory.ts';
import type { System } from '../../src/sys/system.ts';
import { ROW } from '../../src/table/layout.ts';
import { SCHEDULER, SETTINGS } from '../../src/table/record-layout.ts';
import { SettingsRecord } from '../../src/table/settings-record.ts';
import { addressFromV4, parseAddress } from '../../src/wire/address.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { Directed } from '../support/directed.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { arriving, LEFT, noKernel } from './datapaths.ts';
import { sharedTable, sizesOf } from './shared-table.ts';

const { R0, R1, R2, R3, R6, R7, R8, R9, B, W } = bpf;
const SERVICE = 'tcp 192.0.2.80:80';
const FIRST = '203.0.113.0:4000 > 192.0.2.80:80 TCP SYN DF';
/** A client of the same network that is none of those that programs see. */
const OUTSIDER = '203.0.113.255:4001 > 192.0.2.80:80 TCP SYN DF';
const DESTINATIONS = [1, 2, 3, 4].map((n) => `10.0.0.${n}:80`);
const CLIENT_NETWORK = 0xcb007100;

/** What makes processors meet. */
interface Crowd {
  /** A power of two, 256 at most. */
  readonly clients: number;
  /** Rows. */
  readonly limit: number;
  /** Timeouts of connections, ticks; undefined: those of a director. */
  readonly timeout?: number;
  /** All clients have one template, which ends when it has no connections. */
  readonly persistent?: true;
}
/** Few clients, and more rows than they need. */
const FEW: Crowd = { clients: 8, limit: 256 };
/** More clients than rows, whose connections end soon, so that they take each other's rows. */
const MANY: Crowd = { clients: 4096, limit: 64, timeout: 1 };
/** Clients that processors and the director take one template for, and let it go. */
const ONE_TEMPLATE: Crowd = { clients: 32, limit: 256, persistent: true };
const PROCESSORS = cpus().length;
const SEED = 7;
/** Runs of one system call. */
const RUNS = 10_000;
/** ms that a race takes at least, and at most if it has not seen enough. */
const LEAST_MS = 2000;
const MOST_MS = 60_000;
/** Turns of the director after which it looks whether the race has seen enough. */
const LOOK_EVERY = 64;
/** The opcode of atomic operations on 32 bits. */
const EXCHANGE_OPCODE = bpf.ATOMIC | W | bpf.STX;
const MAX_RACES = 20;
/** What a race has to have seen to say anything. */
const MIN_ADMITTED = 1000;
const MIN_TEMPLATED = 100;
const MIN_ENDED = 20;
const MIN_TEMPLATES = 5;
/** The loopback device, by which packets of test runs come. */
const INTERFACE = 1;
const HOP = { ...LEFT, interfaceIndex: INTERFACE, vlan: 0, mtu: 1500, source: parseAddress('10.0.0.254')! };
/** Number of the helper function that returns a random number (bpf_get_prandom_u32). */
const RANDOM = 7;
/* Offsets in union bpf_attr of BPF_PROG_TEST_RUN. */
const RUN = { program: 0, size: 8, packet: 16, repeat: 32 } as const;
const ATTRIBUTE_BYTES = 80;
const koffiPath = createRequire(import.meta.url).resolve('koffi');

/** Returns a program that runs `called` for a random client and random flags: SYN, ACK, FIN+ACK, RST. */
function randomly(b: Bpf, called: Program, clients: number): Program {
  const programs = new BpfMap(b, { type: 'programArray', keySize: 4, valueSize: 4, entries: 1 });
  const descriptor = new Uint8Array(4);
  new DataView(descriptor.buffer).setUint32(0, called.descriptor, true);
  programs.update(new Uint8Array(4), descriptor);
  const frame = new DataView(arriving(packetOfLine(FIRST)).buffer);
  const code = assemble([
    bpf.mov.reg(R6, R1),
    bpf.load(W, R7, R6, 0),
    bpf.load(W, R9, R6, 4),
    bpf.mov.reg(R2, R7),
    bpf.add.imm(R2, 56),
    bpf.jgt.reg(R2, R9, 'out'),
    // The packet as it was before the last run.
    Array.from({ length: 14 }, (_, i) => bpf.storeImm(W, R7, 4 * i, frame.getInt32(4 * i, true))),
    bpf.call(RANDOM),
    bpf.mov32.reg(R8, R0),
    bpf.and.imm(R8, clients - 1),
    bpf.add.imm(R8, CLIENT_NETWORK & 0xffff),
    bpf.toBig(R8, 16),
    bpf.store(bpf.H, R7, 28, R8),
    bpf.call(RANDOM),
    bpf.and.imm(R0, 63),
    [
      [25, 0x02],
      [50, 0x10],
      [58, 0x11],
      [64, 0x04],
    ].map(([below, flags]) => [bpf.mov.imm(R1, flags!), bpf.jlt.imm(R0, below!, 'flags')]),
    bpf.at('flags', bpf.store(B, R7, 47, R1)),
    bpf.mov.reg(R1, R6),
    bpf.loadMap(R2, programs.descriptor),
    bpf.mov.imm(R3, 0),
    bpf.call(TAIL_CALL),
    bpf.at('out', bpf.mov.imm(R0, 0)),
    bpf.exit(),
  ]);
  return new Program(b, { type: 'xdp', name: 'lvs_random', code });
}

/** Replaces connections without a look whether their rows have changed since they were found. */
function replacingBlindly(code: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const blind = code.slice();
  const view = new DataView(blind.buffer);
  let changed = 0;
  for (let at = 0; at < blind.length; at += SLOT) {
    const isExchange =
      view.getUint8(at) === EXCHANGE_OPCODE && view.getInt32(at + 4, true) === bpf.COMPARE_EXCHANGE;
    if (!isExchange || view.getInt16(at + 2, true) !== ROW.track) continue;
    // r0 remains what it was compared with.
    blind.set(assemble(bpf.mov.reg(R0, R0)), at);
    changed++;
  }
  if (changed !== 4)
    throw new Error(`${changed} exchanges of a row's state: expected two of each IP version`);
  return blind;
}

/** A thread that runs a program over and over, by system calls alone. */
const WORKER = `
const { workerData, parentPort } = require('node:worker_threads');
const koffi = require(workerData.koffi);
const bpf = koffi.load(null).func('syscall', 'int64_t', ['int64_t', 'int64_t', 'uintptr_t', 'int64_t']);
while (Atomics.load(workerData.isOver, 0) === 0) {
  const result = bpf(321, 10, workerData.attributes, 80);
  if (Number(result) < 0) throw new Error('BPF_PROG_TEST_RUN failed');
}
parentPort.postMessage('over');
`;

/** Runs a program in a thread until `isOver` is not 0. */
function runInThread(
  system: System,
  program: Program,
  packet: Uint8Array,
  isOver: Int32Array,
): Promise<unknown> {
  const { address, view, bytes } = allocate(system, ATTRIBUTE_BYTES + packet.length);
  bytes.set(packet, ATTRIBUTE_BYTES);
  view.setUint32(RUN.program, program.descriptor, true);
  view.setUint32(RUN.size, packet.length, true);
  setUint64(view, RUN.packet, address + ATTRIBUTE_BYTES);
  view.setUint32(RUN.repeat, RUNS, true);
  const workerData = { koffi: koffiPath, attributes: address, isOver };
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, { eval: true, workerData });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Runs the programs on two processors, and ends connections meanwhile. Returns what is wrong afterwards. */
async function race(
  change: (code: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
  crowd: Crowd,
): Promise<string[]> {
  const { clients: size, limit, timeout, persistent } = crowd;
  const b = kernel as Bpf;
  const memory = new KernelMemory(b);
  const shared = sharedTable(memory, limit, SEED, { processors: PROCESSORS });
  const arrays = kernelArrays(b, memory, sizesOf(shared, PROCESSORS));
  const clients = new ClientRoutes(arrays.clientMap);
  const directed = new Directed({ ...shared });
  const { context } = directed.director;
  const forwarding = new KernelForwarding(directed.director, { ...shared, clients }, () => HOP);
  const persistence = persistent && { persistent: 300, persistencePrefix: 24 };
  directed.serve(SERVICE, DESTINATIONS, { scheduler: 'rr', method: 'nat', ...persistence });
  await forwarding.review();
  const number = shared.nextHops.numberOf(HOP, HOP.source);
  for (let i = 0; i < size; i++) clients.learn(addressFromV4(CLIENT_NETWORK + i), INTERFACE, number);
  const services = new ServiceMap(b);
  const service = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
  services.change({ added: [{ service }], removed: [], own: [] });
  services.number(serviceNumbers(context.services.all));
  const parts = { hook: xdp, arrays, upcall: { interfaceIndex: INTERFACE, services: services.descriptor } };
  using programs = new ProgramTable(b, 'xdp', arrays.programArray);
  programs.load(ADMIT, 'lvs_admit', change(admissionCode(parts)));
  programs.load(PERSIST, 'lvs_persist', templateCode(parts));
  programs.load(SCHEDULER.rr, 'lvs_rr', scheduleCode('rr', parts));
  using known = new Program(b, { type: 'xdp', name: 'lvs_known', code: forwarderCode(parts) });
  using program = randomly(b, known, size);
  const settings = new SettingsRecord(memory);
  if (timeout !== undefined)
    for (let state = 0; state < 16; state++) settings.set(SETTINGS.tcpTimeouts + 4 * state, timeout);
  const isOver = new Int32Array(new SharedArrayBuffer(4));
  const stop = () => Atomics.store(isOver, 0, 1);
  const packet = arriving(packetOfLine(FIRST));
  const over = Promise.all([0, 1].map(() => runInThread(b.system, program, packet, isOver))).finally(stop);
  const seen = { ended: 0, templates: 0 };
  const { table } = context;
  const lacks = () => {
    for (let i = 1; i <= DESTINATIONS.length; i++) forwarding.collect(i);
    return lacking(context.counts, seen, crowd);
  };
  const began = performance.now();
  // A full table stays full if the director ends few: the programs then make room themselves.
  const share = timeout === undefined ? 1 / 8 : 1 / 256;
  try {
    for (let turn = 1; Atomics.load(isOver, 0) === 0; turn++) {
      for (const row of table.rows()) {
        const isTemplate = table.isTemplate(row);
        if ((persistent || Math.random() < share) && end(context, row) && !isTemplate) seen.ended++;
      }
      if (persistent && ![...table.rows()].some((row) => table.isTemplate(row))) {
        directed.receive(OUTSIDER);
        seen.templates++;
      }
      const ms = performance.now() - began;
      if (ms > MOST_MS || (ms > LEAST_MS && turn % LOOK_EVERY === 0 && lacks() === undefined)) stop();
      await nextTurn();
    }
  } catch (error) {
    stop();
    await over;
    return [(error as Error).message];
  }
  await over;
  const lack = lacks();
  return [...faultsOf(context, seen.ended), ...(lack === undefined ? [] : [lack])];
}

/** Returns what a race has seen too little of to say anything; undefined: nothing. */
function lacking(
  { admitted, templated, reused, expired }: DirectorCore['counts'],
  { ended, templates }: { readonly ended: number; readonly templates: number },
  { persistent, timeout }: Crowd,
): string | undefined {
  const least: readonly (readonly [number, number, string])[] = [
    [ended, MIN_ENDED, 'ended'],
    ...(persistent
      ? ([
          [templated, MIN_TEMPLATED, 'of templates'],
          [templates, MIN_TEMPLATES, 'templates'],
        ] as const)
      : ([
          [admitted, MIN_ADMITTED, 'made'],
          [reused + expired, 1, 'replaced'],
        ] as const)),
    ...(timeout === undefined ? [] : ([[expired, MIN_ENDED, 'gave way']] as const)),
  ];
  const few = least.filter(([count, limit]) => count < limit).map(([count, , what]) => `${count} ${what}`);
  return few.length === 0 ? undefined : `too little to see: ${few.join(', ')}`;
}

/** Returns what is wrong in a table on which nothing works any more. `ended`: connections that the director ended. */
function faultsOf({ table, destinations, counts }: DirectorCore, ended: number): string[] {
  const faults: string[] = [];
  const keys = new Set<number>();
  const active = new Map<number, number>();
  const inactive = new Map<number, number>();
  let rows = 0;
  let templates = 0;
  const controlled = new Map<number, number>();
  for (const row of table.rows()) {
    const template = table.template(row);
    if (template !== NONE) controlled.set(template, (controlled.get(template) ?? 0) + 1);
  }
  for (const row of table.rows()) {
    const count = controlled.get(row) ?? 0;
    if (table.children(row) !== count)
      faults.push(`row ${row}: controls ${table.children(row)}: not ${count}`);
    if (table.isTemplate(row)) {
      templates++;
      continue;
    }
    if (controlled.has(row)) faults.push(`row ${row}: controls others, and is no template`);
    rows++;
    const { protocol, caddr, cport, vaddr, vport } = table.select(row);
    if (keys.has(caddr[3]!)) faults.push(`row ${row}: a second one of the client`);
    keys.add(caddr[3]!);
    if (table.hasEnded(row)) faults.push(`row ${row}: state ${table.state(row)}`);
    const found = table.findFromClient(protocol, caddr, cport, vaddr, vport);
    if (found !== row) faults.push(`row ${row}: found ${found}`);
    const of = table.isInactive(row) ? inactive : active;
    of.set(table.destination(row), (of.get(table.destination(row)) ?? 0) + 1);
  }
  if (table.size !== rows + templates) faults.push(`${table.size} counted: ${rows + templates} rows`);
  for (const destination of destinations.all) {
    if (!destination) continue;
    const { index, activeConnections, inactiveConnections } = destination;
    const expected = `${active.get(index) ?? 0} active, ${inactive.get(index) ?? 0} inactive`;
    const counted = `${activeConnections} active, ${inactiveConnections} inactive`;
    if (counted !== expected) faults.push(`destination ${index}: ${counted}: expected ${expected}`);
  }
  const { admitted, reused, expired } = counts;
  const made = `${admitted} made: ${ended} ended, ${rows} left, ${reused} replaced, ${expired} gave way`;
  if (admitted !== ended + rows + reused + expired) faults.push(made);
  return faults;
}

test('this kernel can load programs', ({ skip }) => skip(noKernel !== undefined, noKernel));

describe.skipIf(noKernel !== undefined)('two processors and the director', () => {
  test('make, replace and end connections without losing one', async () => {
    expect(await race((code) => code, FEW)).toEqual([]);
  });

  test('make connections in rows of others whose time is up without losing one', async () => {
    expect(await race((code) => code, MANY)).toEqual([]);
  });

  test('make connections of a template that ends and is made again without losing one', async () => {
    expect(await race((code) => code, ONE_TEMPLATE)).toEqual([]);
  });

  test('would count some twice if a replacement did not look whether the row has changed', async () => {
    let faults = '';
    // Whether processors meet within a race is a matter of chance.
    for (let i = 0; i < MAX_RACES && !faults.includes('destination'); i++)
      faults = (await race(replacingBlindly, FEW)).join();
    expect(faults).toContain('destination');
  }, 300_000);
});
