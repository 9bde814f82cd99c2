/** A program around the one that is measured: it makes the packet as it was, gives it to the next flow, and goes over to the other. */
import { assemble } from '../src/ebpf/assemble.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import { TAIL_CALL, XDP_ADJUST_HEAD } from '../src/ebpf/helper.ts';
import type { Fragment } from '../src/ebpf/instruction.ts';
import * as bpf from '../src/ebpf/instruction.ts';
import { ATTACH_TCX_INGRESS } from '../src/ebpf/link.ts';
import { BpfMap } from '../src/ebpf/map.ts';
import { Program } from '../src/ebpf/program.ts';
import type { HookName } from '../src/offload/hooks.ts';

const { R0, R1, R2, R3, R4, R5, R6, R7, R9, B, H, W, at, exit } = bpf;

/** Offsets of data and data_end in the contexts (struct xdp_md, struct __sk_buff of include/uapi/linux/bpf.h). */
const POINTERS = { xdp: [0, 4], tc: [76, 80] } as const;
const ABORTED = { xdp: 0, tc: 2 } as const;
/** Bytes of the Ethernet, IPv4 and TCP headers. */
const HEADERS = 54;
/** A flow is a client port and a client address: 2^14 ports of each address. */
const PORT_BITS = 14;
const FIRST_PORT = 10_000;
const SRC_PORT = 34;
const SRC_LAST = 29;

export const flowPort = (flow: number): number => FIRST_PORT + (flow & ((1 << PORT_BITS) - 1));
/** What is added to the client address's last byte. */
export const flowAddress = (flow: number): number => flow >> PORT_BITS;

export interface Wrapper {
  readonly program: Program;
  /** Puts a program in: the one that is measured. */
  measure(program: Program): void;
}

export const programType = (hook: HookName): 'xdp' | 'schedulerClassifier' =>
  hook === 'xdp' ? 'xdp' : 'schedulerClassifier';

export const load = (b: Bpf, hook: HookName, name: string, code: Uint8Array): Program =>
  new Program(b, {
    type: programType(hook),
    name,
    code,
    attachType: hook === 'tc' ? ATTACH_TCX_INGRESS : 0,
  });

const pointers = (hook: HookName): Fragment => [
  bpf.load(W, R7, R6, POINTERS[hook][0]),
  bpf.load(W, R9, R6, POINTERS[hook][1]),
];

/** Takes the frame's headers from `frame`, and for each packet the next of `flows` (a power of two). */
export function wrapper(b: Bpf, hook: HookName, frame: Uint8Array, flows: number): Wrapper {
  const programs = new BpfMap(b, { type: 'programArray', keySize: 4, valueSize: 4, entries: 1 });
  const counter = new BpfMap(b, { type: 'array', keySize: 4, valueSize: 8, entries: 1, mapped: true });
  const code: Fragment = [
    bpf.mov.reg(R6, R1),
    shorten(hook, frame.length),
    rotate(hook, frame, flows, counter.descriptor),
    bpf.mov.reg(R1, R6),
    bpf.loadMap(R2, programs.descriptor),
    bpf.mov.imm(R3, 0),
    bpf.call(TAIL_CALL),
    at('out', bpf.mov.imm(R0, ABORTED[hook])),
    exit(),
  ];
  const program = load(b, hook, 'wrapper', assemble(code));
  return {
    program,
    measure(measured) {
      const descriptor = new Uint8Array(4);
      new DataView(descriptor.buffer).setUint32(0, measured.descriptor, true);
      programs.update(new Uint8Array(4), descriptor);
    },
  };
}

/** XDP: a tunnel's header is taken off again. The kernel is called for it whether there is one or not, so that all pay the same. */
const shorten = (hook: HookName, length: number): Fragment =>
  hook === 'xdp'
    ? [
        pointers(hook),
        bpf.mov.reg(R2, R9),
        bpf.sub.reg(R2, R7),
        bpf.sub.imm(R2, length),
        bpf.mov.reg(R1, R6),
        bpf.call(XDP_ADJUST_HEAD),
      ]
    : [];

/** Returns the headers of `frame`, of the next of `flows` by a counter in a mapped array; to `out` where there is no room. Leaves the packet in r7. */
export const rotate = (hook: HookName, frame: Uint8Array, flows: number, counter: number): Fragment => [
  restore(hook, frame),
  bpf.loadMapValue(R3, counter),
  bpf.load(W, R4, R3, 0),
  bpf.mov.reg(R5, R4),
  bpf.add.imm(R5, 1),
  bpf.store(W, R3, 0, R5),
  bpf.and.imm(R4, flows - 1),
  bpf.mov.reg(R5, R4),
  bpf.and.imm(R5, (1 << PORT_BITS) - 1),
  bpf.add.imm(R5, FIRST_PORT),
  bpf.toBig(R5, 16),
  bpf.store(H, R7, SRC_PORT, R5),
  bpf.rsh.imm(R4, PORT_BITS),
  bpf.add.imm(R4, frame[SRC_LAST]!),
  bpf.store(B, R7, SRC_LAST, R4),
];

const restore = (hook: HookName, frame: Uint8Array): Fragment => {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const words = Array.from({ length: 10 }, (_, i) => 12 + 4 * i);
  return [
    pointers(hook),
    bpf.mov.reg(R2, R7),
    bpf.add.imm(R2, HEADERS),
    bpf.jgt.reg(R2, R9, 'out'),
    words.map((octet) => bpf.storeImm(W, R7, octet, view.getInt32(octet, true))),
  ];
};

/** Returns the baseline: MAC addresses change places, and the packet is sent. */
export function swapAndSend(b: Bpf, hook: HookName): Program {
  const [data, end] = POINTERS[hook];
  return load(
    b,
    hook,
    'swap',
    assemble([
      bpf.load(W, R7, R1, data),
      bpf.load(W, R9, R1, end),
      bpf.mov.reg(R2, R7),
      bpf.add.imm(R2, 14),
      bpf.jgt.reg(R2, R9, 'out'),
      bpf.load(W, R2, R7, 0),
      bpf.load(H, R3, R7, 4),
      bpf.load(W, R4, R7, 6),
      bpf.load(H, R5, R7, 10),
      bpf.store(W, R7, 0, R4),
      bpf.store(H, R7, 4, R5),
      bpf.store(W, R7, 6, R2),
      bpf.store(H, R7, 10, R3),
      // XDP_TX; tc has nothing of the kind: TC_ACT_STOLEN.
      bpf.mov.imm(R0, hook === 'xdp' ? 3 : 4),
      exit(),
      at('out', bpf.mov.imm(R0, ABORTED[hook])),
      exit(),
    ]),
  );
}
