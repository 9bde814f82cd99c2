/** Fragments of instructions into the octets that the kernel loads: labels resolved, ranges checked. */
import type { Fragment, Instruction, Label } from './instruction.ts';

/** Octets of one slot; a 64-bit immediate takes two. */
export const SLOT = 8;

/** A program that cannot be assembled: a mistake of the one who wrote it. */
export class AssemblerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AssemblerError';
  }
}

/** The instructions of a fragment, in their order. */
export function flatten(fragment: Fragment): Instruction[] {
  return 'opcode' in fragment ? [fragment] : fragment.flatMap(flatten);
}

/** The program's octets, in the machine's byte order: little-endian. Throws AssemblerError. */
export function assemble(fragment: Fragment): Uint8Array<ArrayBuffer> {
  const instructions = flatten(fragment);
  const places = placesOf(instructions);
  const slots = instructions.reduce((sum, each) => sum + slotsOf(each), 0);
  const octets = new Uint8Array(slots * SLOT);
  const view = new DataView(octets.buffer);
  let slot = 0;
  for (const each of instructions) {
    const offset = each.target === undefined ? each.offset : distance(places, each.target, slot);
    const at = slot * SLOT;
    view.setUint8(at, each.opcode);
    view.setUint8(at + 1, each.dst | (each.src << 4));
    view.setInt16(at + 2, inRange(offset, 16, each), true);
    view.setInt32(at + 4, inRange(each.imm, 32, each), true);
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
      if (places.has(label)) throw new AssemblerError(`label ${String(label)} stands twice`);
      places.set(label, slot);
    }
    slot += slotsOf(each);
  }
  return places;
}

/** Instructions between the one after the jump and its target. */
function distance(places: ReadonlyMap<Label, number>, target: Label, from: number): number {
  const to = places.get(target);
  if (to === undefined) throw new AssemblerError(`label ${String(target)} stands nowhere`);
  return to - from - 1;
}

/** The value, where it fits in so many bits, signed; 32 bits may be given unsigned too. */
function inRange(value: number, bits: 16 | 32, { opcode }: Instruction): number {
  const half = 2 ** (bits - 1);
  const most = bits === 32 ? 2 * half - 1 : half - 1;
  if (!Number.isInteger(value) || value < -half || value > most)
    throw new AssemblerError(`${value} does not fit in ${bits} bits (opcode 0x${opcode.toString(16)})`);
  return value;
}
