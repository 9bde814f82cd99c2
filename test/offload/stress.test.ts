/** The flow table written at full speed while packets on several processors go through it. */
import { expect, test } from 'vitest';
import { assemble } from '../../src/ebpf/assemble.ts';
import { type Bpf, setUint64 } from '../../src/ebpf/bpf.ts';
import { RANDOM } from '../../src/ebpf/helper.ts';
import type { Fragment } from '../../src/ebpf/instruction.ts';
import * as bpf from '../../src/ebpf/instruction.ts';
import { BpfMap } from '../../src/ebpf/map.ts';
import { Program } from '../../src/ebpf/program.ts';
import type { Action } from '../../src/offload/actions.ts';
import { type Hook, PACKET, unlessReadable, xdp } from '../../src/offload/hooks.ts';
import { openKernelTables } from '../../src/offload/kernel-tables.ts';
import { forwarder } from '../../src/offload/program.ts';
import { gracePeriod, graceUnavailable } from '../../src/sys/membarrier.ts';
import { allocate } from '../../src/sys/memory.ts';
import { addressFromV4 } from '../../src/wire/address.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { address } from '../forwarding/recorded-host.ts';
import { seeded } from '../support/directed.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { arriving, LEFT, noKernel } from './datapaths.ts';

const { R0, R1, R2, R3, R4, R5, H, W, DW, at, exit } = bpf;

/** Clients by their port, far more than there are slots and actions: both are used again and again. */
const KEYS = 256;
const FIRST_PORT = 1000;
const FLOWS = 32;
const ACTIONS = 48;
/** What has to have happened before it is enough: packets sent, flows taken back, flows changed. */
const ENOUGH = { right: 100_000, reclaimed: 100 * FLOWS, edited: 1000 };
/** Where the packet's fields are. */
const SRC_PORT = 34;
const DST = 30;
const DST_PORT = 36;
const TTL = 22;

const MULTIPLIER = 0x9e3779b1;
const VIP = address('192.0.2.80');
const CLIENT = address('203.0.113.7');
const frame = arriving(packetOfLine('203.0.113.7:1000 > 192.0.2.80:80 ACK len=10'));

/** Where the packets of a port are to go, in one of two versions, which address and port have to agree about. */
function actionOf(port: number, version: 0 | 1): Action {
  const product = Math.imul(port, MULTIPLIER) >>> 0;
  const newAddress = addressFromV4(((product & ~1) | version) >>> 0);
  const newPort = ((product >>> 16) & 0xfffe) | version;
  const hop = { ...LEFT, interfaceIndex: 1, vlan: 0, mtu: 1500 };
  return { kind: 'toDestination', hop, translation: { address: VIP, port: 80, newAddress, newPort } };
}

/* Counters, 64 bits each. */
const RIGHT = 0;
const WRONG = 1;
const TORN = 2;

const tally = (counters: number, index: number): Fragment => [
  bpf.loadMapValue(R1, counters, index * 8),
  bpf.mov.imm(R2, 1),
  bpf.atomic(DW, bpf.ATOMIC_ADD, R1, 0, R2),
  bpf.mov.imm(R0, 1),
  exit(),
];

/** XDP, but re-creates the packet with a random port, and examines its next hop instead of sending it. */
function checking(counters: number): Hook {
  return {
    ...xdp,
    begin: [
      xdp.begin,
      unlessReadable(54, 'pass'),
      bpf.storeImm(W, PACKET, DST, new DataView(frame.buffer, frame.byteOffset).getInt32(DST, true)),
      bpf.storeImm(H, PACKET, DST_PORT, 80 << 8),
      bpf.storeImm(bpf.B, PACKET, TTL, 64),
      bpf.call(RANDOM),
      bpf.and.imm(R0, KEYS - 1),
      bpf.add.imm(R0, FIRST_PORT),
      bpf.toBig(R0, 16),
      bpf.store(H, PACKET, SRC_PORT, R0),
    ],
    transmit: [
      bpf.load(H, R1, PACKET, SRC_PORT),
      bpf.toBig(R1, 16),
      bpf.mul32.imm(R1, MULTIPLIER),
      // r2 address, r3 port as they are; r4, r5 where they differ from what they should be.
      bpf.load(W, R2, PACKET, DST),
      bpf.toBig(R2, 32),
      bpf.load(H, R3, PACKET, DST_PORT),
      bpf.toBig(R3, 16),
      bpf.mov32.reg(R4, R2),
      bpf.xor32.reg(R4, R1),
      bpf.rsh32.imm(R4, 1),
      bpf.jne.imm(R4, 0, 'wrong'),
      bpf.rsh32.imm(R1, 16),
      bpf.mov32.reg(R5, R3),
      bpf.xor32.reg(R5, R1),
      bpf.rsh32.imm(R5, 1),
      bpf.jne.imm(R5, 0, 'wrong'),
      bpf.xor32.reg(R2, R3),
      bpf.and32.imm(R2, 1),
      bpf.jne.imm(R2, 0, 'torn'),
      tally(counters, RIGHT),
      at('wrong', tally(counters, WRONG)),
      at('torn', tally(counters, TORN)),
    ],
  };
}

/** Runs the program over and over in another thread, until it is stopped. */
function reader(b: Bpf, program: Program, running: () => boolean): Promise<void> {
  const memory = allocate(b.system, 4096);
  const { view, bytes, address: base } = memory;
  bytes.set(frame, 1024);
  const again = async (): Promise<void> => {
    while (running()) {
      bytes.fill(0, 0, 256);
      view.setUint32(0, program.descriptor, true);
      view.setUint32(8, frame.length, true);
      setUint64(view, 16, base + 1024);
      view.setUint32(32, 20_000, true);
      // BPF_PROG_TEST_RUN
      expect(await b.system.bpfLater(10, base, 80)).toBe(0);
    }
  };
  return again();
}

test('no packet is ever sent to a wrong destination, or with half of an action', async ({ skip }) => {
  skip(noKernel !== undefined, noKernel);
  const b = kernel as Bpf;
  const missing = await graceUnavailable(b.system);
  skip(missing !== undefined, missing);
  const counterMap = new BpfMap(b, { type: 'array', keySize: 4, valueSize: 64, entries: 1, mapped: true });
  const counters = new BigUint64Array(counterMap.mapped().bytes.buffer);
  const { flows, actions, tables } = openKernelTables(b, { flows: FLOWS, seed: 99, actions: ACTIONS });
  const code = assemble(forwarder({ hook: checking(counterMap.descriptor), tables }));
  const program = new Program(b, { type: 'xdp', name: 'checked', code });

  const random = seeded(4711);
  const slots = new Map<number, number>();
  const done = { installed: 0, removed: 0, edited: 0, reclaimed: 0 };
  /** Removes, edits or installs one flow. */
  const write = (): void => {
    const key = Math.floor(random() * KEYS);
    const slot = slots.get(key);
    if (slot !== undefined && random() < 0.5) {
      const before = flows.action(slot);
      flows.remove(slot);
      actions.release(before);
      slots.delete(key);
      done.removed++;
      return;
    }
    const action = actions.hold(actionOf(FIRST_PORT + key, random() < 0.5 ? 0 : 1));
    if (action < 0) return;
    if (slot !== undefined) {
      const before = flows.action(slot);
      flows.setAction(slot, action);
      actions.release(before);
      done.edited++;
      return;
    }
    const taken = flows.insert(TCP, CLIENT, FIRST_PORT + key, VIP, 80, action);
    if (taken < 0) actions.release(action);
    else {
      slots.set(key, taken);
      done.installed++;
    }
  };

  const isWrong = () => counters[WRONG]! + counters[TORN]! > 0n;
  const isEnough = () =>
    counters[RIGHT]! > ENOUGH.right && done.reclaimed > ENOUGH.reclaimed && done.edited > ENOUGH.edited;
  const running = () => !isWrong() && !isEnough();
  const reclaimer = async () => {
    while (running()) {
      const [freedSlots, freedActions] = [flows.takeRetired(), actions.takeRetired()];
      await gracePeriod(b.system);
      flows.free(freedSlots);
      actions.free(freedActions);
      done.reclaimed += freedSlots.length;
    }
  };
  const writer = async () => {
    while (running()) {
      for (let i = 0; i < 64; i++) write();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all([reader(b, program, running), reader(b, program, running), reclaimer(), writer()]);
  expect({ wrong: counters[WRONG], torn: counters[TORN] }).toEqual({ wrong: 0n, torn: 0n });
});
