/** How many instructions the verifier looked at to accept a program. */
import { type Bpf, setUint64 } from '../../../src/ebpf/bpf.ts';
import type { Program } from '../../../src/ebpf/program.ts';

/** The most that the verifier may look at; it refuses a program at 1,000,000 (BPF_COMPLEXITY_LIMIT_INSNS). */
export const MAX_VERIFIED = 100_000;

/** Offsets in struct bpf_prog_info (include/uapi/linux/bpf.h, Linux 5.16) and in union bpf_attr. */
const VERIFIED_INSTRUCTIONS = 216;
const INFO_BYTES = 224;
const ATTRIBUTE = { descriptor: 0, length: 4, info: 8, size: 16 } as const;

/** Returns how many instructions the verifier looked at. */
export const verifiedInstructions = (bpf: Bpf, program: Program): number =>
  bpf.arena.lend(INFO_BYTES, ({ address, view }) => {
    bpf.call('OBJ_GET_INFO_BY_FD', ATTRIBUTE.size, (attributes) => {
      attributes.setUint32(ATTRIBUTE.descriptor, program.descriptor, true);
      attributes.setUint32(ATTRIBUTE.length, INFO_BYTES, true);
      setUint64(attributes, ATTRIBUTE.info, address);
    });
    return view.getUint32(VERIFIED_INSTRUCTIONS, true);
  });
