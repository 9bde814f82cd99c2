/**
 * Assembles filters of classic BPF for sockets (linux/filter.h): jumps forward to labels, accept or drop at the end.
 */
import type { FilterInstruction } from './packet-socket.ts';

/* Operation codes: class, size, mode or source (include/uapi/linux/bpf_common.h). */
export const LD_W_ABS = 0x20;
export const LD_H_ABS = 0x28;
export const LD_B_ABS = 0x30;
export const LD_H_IND = 0x48;
export const LD_LEN = 0x80;
/** A = a word of the scratch memory. */
export const LD_MEM = 0x60;
export const LDX_MEM = 0x61;
/** X = the length of the IPv4 header at offset k, bytes. */
export const LDX_MSH = 0xb1;
export const ST = 0x02;
export const ADD_X = 0x0c;
export const SUB_X = 0x1c;
export const AND_K = 0x54;
export const RSH_K = 0x74;
export const TAX = 0x07;
const JEQ_K = 0x15;
const JGT_K = 0x25;
const JEQ_X = 0x1d;
const RET_K = 0x06;

/* Offsets of metadata instead of bytes (SKF_AD_OFF of linux/filter.h). */
const METADATA = 0xfffff000;
export const PACKET_TYPE = METADATA + 4;
export const VLAN_TAG = METADATA + 44;
export const VLAN_TAG_PRESENT = METADATA + 48;

/** A label; `accept` and `drop` exist in every filter. */
type Label = string;
interface Jump {
  readonly code: number;
  readonly k: number;
  readonly yes: Label | undefined;
  readonly no: Label | undefined;
}
/** An instruction without a jump, a jump, or the place of a label. */
export type FilterPart = readonly [code: number, k?: number] | Jump | Label;

/** Jumps to `yes` if A equals k, else to `no`; without a label, continues. */
export const ifEqual = (k: number, yes?: Label, no?: Label): Jump => ({ code: JEQ_K, k, yes, no });
/** Jumps to `yes` if A equals X, else to `no`; without a label, continues. */
export const ifEqualX = (yes?: Label, no?: Label): Jump => ({ code: JEQ_X, k: 0, yes, no });
/** Jumps to `yes` if A is greater than k, else to `no`; without a label, continues. */
export const ifGreater = (k: number, yes?: Label, no?: Label): Jump => ({ code: JGT_K, k, yes, no });

/** Maximum length of an accepted packet, bytes: packets are not truncated. */
const WHOLE_PACKET = 0x40000;

/** Returns the instructions. Throws RangeError for an unknown label or a jump of more than 255 instructions. */
export function classicFilter(parts: readonly FilterPart[]): FilterInstruction[] {
  const all: readonly FilterPart[] = [...parts, 'accept', [RET_K, WHOLE_PACKET], 'drop', [RET_K, 0]];
  const places = new Map<Label, number>();
  let place = 0;
  for (const part of all) {
    if (typeof part === 'string') places.set(part, place);
    else place++;
  }
  const distance = (from: number, label: Label | undefined): number => {
    const to = label === undefined ? from + 1 : places.get(label);
    const skipped = (to ?? -1) - from - 1;
    if (skipped < 0 || skipped > 255) throw new RangeError(`filter: label ${label}: out of reach`);
    return skipped;
  };
  return all
    .filter((part): part is Exclude<FilterPart, Label> => typeof part !== 'string')
    .map((part, at) =>
      'code' in part
        ? [part.code, distance(at, part.yes), distance(at, part.no), part.k]
        : [part[0], 0, 0, part[1] ?? 0],
    );
}
