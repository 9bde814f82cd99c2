/** Numbers that programs look up: an array of one value that never changes. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { NOT_FOUND } from './stack.ts';

export const CONSTANTS_BYTES = 128;
export const CONSTANTS = {
  /** 0 and NOT_FOUND, 8 bytes each, which the verifier does not know. */
  zero: 0,
  notFound: 8,
  /** 64 bytes: the number of the lowest bit, by the upper six bits of the product with BIT_FACTOR. */
  bits: 64,
} as const;

/** (bits & -bits) times this has the number of the lowest bit in its upper six bits (a de Bruijn sequence). */
export const BIT_FACTOR: [lower: number, upper: number] = [0xb4cb0a89, 0x03f79d71];
export const BIT_SHIFT = 58;

/** Returns the array's bytes. */
export function constants(): Uint8Array {
  const bytes = new Uint8Array(CONSTANTS_BYTES);
  new DataView(bytes.buffer).setBigInt64(CONSTANTS.notFound, BigInt(NOT_FOUND), true);
  const factor = (BigInt(BIT_FACTOR[1]) << 32n) | BigInt(BIT_FACTOR[0]);
  for (let bit = 0; bit < 64; bit++) {
    const product = BigInt.asUintN(64, factor << BigInt(bit));
    bytes[CONSTANTS.bits + Number(product >> BigInt(BIT_SHIFT))] = bit;
  }
  return bytes;
}

/** Creates the array. Throws SystemCallError. */
export function constantsMap(bpf: Bpf): BpfMap {
  const map = new BpfMap(bpf, {
    type: 'array',
    name: 'lvs_constants',
    keySize: 4,
    valueSize: CONSTANTS_BYTES,
    entries: 1,
  });
  map.update(new Uint8Array(4), constants());
  return map;
}
