/** Runs a program on a given packet without a network (BPF_PROG_TEST_RUN). */
import { type Bpf, setUint64 } from './bpf.ts';
import type { Program } from './program.ts';

/* Offsets in union bpf_attr. */
const RUN = {
  program: 0,
  result: 4,
  sizeIn: 8,
  sizeOut: 12,
  dataIn: 16,
  dataOut: 24,
  repeat: 32,
  duration: 36,
  contextSizeIn: 40,
  contextIn: 48,
  flags: 64,
  batch: 72,
  size: 80,
} as const;
/** BPF_F_TEST_XDP_LIVE_FRAMES: packets are sent, dropped or passed as XDP returns. Requires Linux 5.18. */
const LIVE_FRAMES = 1 << 1;
/** struct xdp_md of include/uapi/linux/bpf.h: bytes, and offsets of its fields. */
const XDP_CONTEXT = { dataEnd: 4, ingressInterface: 12, size: 24 } as const;
/** Bytes by which a program can lengthen a packet in a test run. */
const GROWTH = 512;

export interface TestRun {
  /** Return value of the program. */
  readonly result: number;
  /** The packet after the last run; empty for live frames. */
  readonly packet: Uint8Array<ArrayBuffer>;
  /** Average duration of a run. */
  readonly nanoseconds: number;
}

export interface TestRunOptions {
  /** Number of runs on the same packet. */
  readonly repeat?: number;
  /** XDP: index of the interface that the packet appears to come from. */
  readonly interfaceIndex?: number;
  /** XDP: number of live frames at a time, which are sent, dropped or passed as the program returns. */
  readonly live?: { readonly batch: number };
}

/** Throws SystemCallError. */
export function testRun(
  bpf: Bpf,
  program: Program,
  packet: Uint8Array,
  { repeat = 1, interfaceIndex, live }: TestRunOptions = {},
): TestRun {
  return bpf.lendCopy(packet, (input) =>
    bpf.arena.lend(packet.length + GROWTH, (output) =>
      bpf.arena.lend(XDP_CONTEXT.size, (context) => {
        let run: TestRun | undefined;
        context.view.setUint32(XDP_CONTEXT.dataEnd, packet.length, true);
        context.view.setUint32(XDP_CONTEXT.ingressInterface, interfaceIndex ?? 0, true);
        bpf.call(
          'PROG_TEST_RUN',
          RUN.size,
          (attributes) => {
            attributes.setUint32(RUN.program, program.descriptor, true);
            attributes.setUint32(RUN.sizeIn, packet.length, true);
            setUint64(attributes, RUN.dataIn, input.address);
            attributes.setUint32(RUN.repeat, repeat, true);
            if (live) {
              attributes.setUint32(RUN.flags, LIVE_FRAMES, true);
              attributes.setUint32(RUN.batch, live.batch, true);
            } else {
              attributes.setUint32(RUN.sizeOut, output.bytes.length, true);
              setUint64(attributes, RUN.dataOut, output.address);
            }
            if (interfaceIndex !== undefined) {
              attributes.setUint32(RUN.contextSizeIn, XDP_CONTEXT.size, true);
              setUint64(attributes, RUN.contextIn, context.address);
            }
          },
          (attributes) => {
            run = {
              result: attributes.getInt32(RUN.result, true),
              packet: live
                ? new Uint8Array(0)
                : output.bytes.slice(0, attributes.getUint32(RUN.sizeOut, true)),
              nanoseconds: attributes.getUint32(RUN.duration, true),
            };
          },
        );
        return run!;
      }),
    ),
  );
}
