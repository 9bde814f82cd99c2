/** Assembles fragments of instructions into the bytes that the kernel loads: resolves labels, checks ranges. */
import type { Fragment, Instruction, Label } from './instruction.ts';

/** Bytes of one slot; a 64-bit immediate takes two slots. */
export const SLOT = 8;

/** A program that cannot be assembled, which is a programming error. */
export class AssemblerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AssemblerError';
  }
}

/** Returns the instructions of a fragment in order. */
export function flatten(fragment: Fragment): Instruction[] {
  return 'opcode' in fragment ? [fragment] : fragment.flatMap(flatten);
}

/** Returns the program's bytes, little-endian as the machines are that this runs on. Throws AssemblerError. */
export function assemble(fragment: Fragment): Uint8Array<ArrayBuffer> {
  const instructions = flatten(fragment);
  const places = placesOf(instructions);
  const slots = instructions.reduce((sum, each) => sum + slotsOf(each), 0);
  const octets = new Uint8Array(slots * SLOT);
  const view = new DataView(octets.buffer);
  let slot = 0;
  for (const each of instructions) {
    // A jump has the distance in its offset, a reference to a function in its immediate.
    const target = each.target === undefined ? undefined : distance(places, each.target, slot);
    const isReference = each.upper !== undefined;
    const offset = isReference ? each.offset : (target ?? each.offset);
    const imm = isReference ? (target ?? each.imm) : each.imm;
    const at = slot * SLOT;
    view.setUint8(at, each.opcode);
    view.setUint8(at + 1, each.dst | (each.src << 4));
    view.setInt16(at + 2, inRange(offset, 16, each), true);
    view.setInt32(at + 4, inRange(imm, 32, each), true);
    if (each.upper !== undefined) view.setInt32(at + SLOT + 4, inRange(each.upper, 32, each), true);
    slot += slotsOf(each);
  }
  return octets;
}

const slotsOf = (instruction: Instruction): number => (instruction.upper === undefined ? 1 : 2);

function placesOf(instructions: readonly Instruction[]): Map<Label, number> {
  const places = new Map<Label, number>();
  let slot = 0;
  for (const each of instructions) {
    for (const label of each.labels ?? []) {
      if (places.has(label)) throw new AssemblerError(`label ${String(label)} already exists`);
      places.set(label, slot);
    }
    slot += slotsOf(each);
  }
  return places;
}

/** Returns the number of slots from the one after the jump to its target. */
function distance(places: ReadonlyMap<Label, number>, target: Label, from: number): number {
  const to = places.get(target);
  if (to === undefined) throw new AssemblerError(`label ${String(target)} not found`);
  return to - from - 1;
}

/** Returns `value` if it fits into `bits` bits, signed; 32 bits may be unsigned as well. Throws AssemblerError. */
function inRange(value: number, bits: 16 | 32, { opcode }: Instruction): number {
  const half = 2 ** (bits - 1);
  const most = bits === 32 ? 2 * half - 1 : half - 1;
  if (!Number.isInteger(value) || value < -half || value > most)
    throw new AssemblerError(`${value} does not fit in ${bits} bits (opcode 0x${opcode.toString(16)})`);
  return value;
}
