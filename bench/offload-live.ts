/** Packets/s through a director's namespace, from a generator to a counting drop, against a program that only redirects. */
import { setTimeout as pause } from 'node:timers/promises';
import { assemble } from '../src/ebpf/assemble.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import { REDIRECT } from '../src/ebpf/helper.ts';
import * as bpf from '../src/ebpf/instruction.ts';
import { attachXdp } from '../src/ebpf/link.ts';
import { BpfMap } from '../src/ebpf/map.ts';
import { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import { xdp } from '../src/offload/hooks.ts';
import { forwarderCode } from '../src/offload/program.ts';
import { enterNetworkNamespace } from '../src/sys/network-namespace.ts';
import { LaneNetwork } from './lane.ts';
import { type Filled, frame, METHODS, type MethodName, median } from './offload-cost.ts';
import { rotate } from './offload-wrapper.ts';

const { R0, R1, R2, R6, R7, R9, DW, W, at, exit } = bpf;

/** Frames a round, and at a time. */
const FRAMES = 300_000;
const BATCH = 64;
const ROUNDS = 5;
const XDP_DROP = 1;

/** Ratios of speed to the bare redirect, medians of the rounds; packets/s of the bare redirect. */
export interface LiveFigures {
  readonly bare: number;
  readonly ratio: Readonly<Record<MethodName, number>>;
  /** Frames that did not arrive, of all that were sent through the program: flows without a slot are left to the kernel. */
  readonly lost: number;
}

/** Generator, director and server in separate namespaces: g0 - d0 | d1 - r1. */
export class Lane implements Disposable {
  readonly #bpf: Bpf;
  readonly #network = new LaneNetwork();
  readonly #received: BigUint64Array;
  readonly #link: ReturnType<typeof attachXdp>;
  readonly #out: number;
  readonly #generatorInterface: number;

  constructor(b: Bpf) {
    this.#bpf = b;
    const { generator, director, server } = this.#network;
    const counter = new BpfMap(b, { type: 'array', keySize: 4, valueSize: 8, entries: 1, mapped: true });
    this.#received = new BigUint64Array(counter.mapped().bytes.buffer);
    const system = b.system;
    enterNetworkNamespace(system, server);
    attachXdp(b, counting(b, counter.descriptor), system.interfaceIndex('r1'), 'driver');
    enterNetworkNamespace(system, director);
    this.#out = system.interfaceIndex('d1');
    this.#link = attachXdp(b, this.#bare(), system.interfaceIndex('d0'), 'driver');
    enterNetworkNamespace(system, generator);
    this.#generatorInterface = system.interfaceIndex('g0');
  }

  async measure(table: Filled, flows: number): Promise<LiveFigures> {
    const bare = this.#bare();
    const program = new Program(this.#bpf, {
      type: 'xdp',
      name: 'lvs_xdp',
      code: forwarderCode({ hook: xdp, arrays: table.arrays }),
    });
    const generator = frameGenerator(this.#bpf, frame(), flows, this.#generatorInterface);
    const rates: number[] = [];
    let lost = 0;
    const ratio = {} as Record<MethodName, number>;
    for (const method of METHODS) {
      table.use(method, this.#out);
      await this.#round(program, generator);
      const ratios: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const plain = await this.#round(bare, generator);
        const ours = await this.#round(program, generator);
        rates.push(plain.rate);
        ratios.push(ours.rate / plain.rate);
        lost += ours.lost;
      }
      ratio[method] = median(ratios);
    }
    return { bare: median(rates), ratio, lost };
  }

  async #round(program: Program, generator: Program): Promise<{ rate: number; lost: number }> {
    this.#link.update(program);
    const before = this.#received[0]!;
    const begin = performance.now();
    testRun(this.#bpf, generator, frame(), {
      repeat: FRAMES,
      interfaceIndex: this.#generatorInterface,
      live: { batch: BATCH },
    });
    const time = performance.now() - begin;
    // What is still under way arrives meanwhile; it is as much for one program as for the other.
    for (let last = -1n; last !== this.#received[0]!; ) {
      last = this.#received[0]!;
      await pause(2);
    }
    const received = Number(this.#received[0]! - before);
    return { rate: (received / time) * 1000, lost: FRAMES - received };
  }

  #bare(): Program {
    const code = [bpf.mov.imm(R1, this.#out), bpf.mov.imm(R2, 0), bpf.call(REDIRECT), exit()];
    return new Program(this.#bpf, { type: 'xdp', name: 'bare', code: assemble(code) });
  }

  [Symbol.dispose](): void {
    this.#network[Symbol.dispose]();
  }
}

/** Sends frames of all flows in turn by the interface. The kernel reuses frames, so each is written again. */
export function frameGenerator(b: Bpf, sent: Uint8Array, flows: number, interfaceIndex: number): Program {
  const counter = new BpfMap(b, { type: 'array', keySize: 4, valueSize: 8, entries: 1, mapped: true });
  const view = new DataView(sent.buffer, sent.byteOffset);
  const code = assemble([
    bpf.mov.reg(R6, R1),
    rotate('xdp', sent, flows, counter.descriptor),
    // The director has written its own addresses into a frame that is used again.
    [0, 4, 8].map((at) => bpf.storeImm(W, R7, at, view.getInt32(at, true))),
    bpf.mov.imm(R1, interfaceIndex),
    bpf.mov.imm(R2, 0),
    bpf.call(REDIRECT),
    exit(),
    at('out', bpf.mov.imm(R0, XDP_DROP)),
    exit(),
  ]);
  return new Program(b, { type: 'xdp', name: 'generator', code });
}

/** Counts what it drops. */
export const counting = (b: Bpf, counter: number): Program =>
  new Program(b, {
    type: 'xdp',
    name: 'count',
    code: assemble([
      bpf.loadMapValue(R7, counter),
      bpf.mov.imm(R9, 1),
      bpf.atomic(DW, bpf.ATOMIC_ADD, R7, 0, R9),
      bpf.mov.imm(R0, XDP_DROP),
      exit(),
    ]),
  });
