/**
 * Describes a program's functions to the kernel, which accepts references to functions only from programs with type
 * information (BTF; Documentation/bpf/btf.rst, Linux 6.1): each function is static, without parameters, and returns int.
 */
import { SLOT } from './assemble.ts';
import { type Bpf, setUint64 } from './bpf.ts';
import { DW, FUNCTION, IMM, LD } from './instruction.ts';

/* Offsets in union bpf_attr. */
const BTF_LOAD = { types: 0, bytes: 16, size: 28 } as const;

/* Header of BTF (struct btf_header in include/uapi/linux/btf.h). */
const MAGIC = 0xeb9f;
const VERSION = 1;
const HEADER_BYTES = 24;
/* Kinds of types, as in their second word. */
const KIND_INT = 1 << 24;
const KIND_FUNC = 12 << 24;
const KIND_FUNC_PROTO = 13 << 24;
/** A signed integer of 32 bits. */
const INT_BYTES = 4;
const SIGNED_32 = (1 << 24) | 32;

const NAMES = '\0int\0function\0';
const NAME_OF_INT = 1;
const NAME_OF_FUNCTION = 5;
/* Types are numbered from 1 in the order of `types`. */
const INT = 1;
const PROTOTYPE = 2;
const FUNCTION_TYPE = 3;

/** struct bpf_func_info in include/uapi/linux/bpf.h: first slot, and number of the type. */
export const FUNCTION_INFO_BYTES = 8;

/** Returns the first slots of a program's functions in order, the main function's first; [0] if it has no other. */
export function functionsOf(code: Uint8Array): number[] {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const starts = new Set([0]);
  for (let slot = 0; slot < code.length / SLOT; slot++) {
    const at = slot * SLOT;
    if (code[at] !== (IMM | DW | LD)) continue;
    if (code[at + 1]! >> 4 === FUNCTION) starts.add(slot + 1 + view.getInt32(at + 4, true));
    slot++;
  }
  return [...starts].sort((a, b) => a - b);
}

/** Returns the descriptions of functions that begin at these slots. */
export function functionInfo(starts: readonly number[]): Uint8Array {
  const words = starts.flatMap((start) => [start, FUNCTION_TYPE]);
  return new Uint8Array(Uint32Array.from(words).buffer);
}

/** Loads the types that `functionInfo` names. Returns a descriptor. Throws SystemCallError. */
export function loadTypes(bpf: Bpf): number {
  return bpf.lendCopy(types(), ({ address, bytes }) =>
    bpf.call('BTF_LOAD', BTF_LOAD.size, (attributes) => {
      setUint64(attributes, BTF_LOAD.types, address);
      attributes.setUint32(BTF_LOAD.bytes, bytes.length, true);
    }),
  );
}

function types(): Uint8Array {
  const definitions = [
    ...[NAME_OF_INT, KIND_INT, INT_BYTES, SIGNED_32],
    ...[0, KIND_FUNC_PROTO, INT],
    ...[NAME_OF_FUNCTION, KIND_FUNC, PROTOTYPE],
  ];
  const bytes = definitions.length * 4;
  const header = [MAGIC | (VERSION << 16), HEADER_BYTES, 0, bytes, bytes, NAMES.length];
  const words = Uint32Array.from([...header, ...definitions]);
  return Buffer.concat([new Uint8Array(words.buffer), Buffer.from(NAMES, 'latin1')]);
}
