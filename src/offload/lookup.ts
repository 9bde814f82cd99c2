/** Emits the lookup of a packet's flow and its action. */
import {
  add,
  and32,
  at,
  atomic,
  DW,
  type Fragment,
  jge,
  jne,
  jump,
  LOAD_ACQUIRE,
  load,
  loadMapValue,
  lsh,
  mov,
  mov32,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R9,
  type Register,
  rsh,
  type Size,
  W,
} from '../ebpf/instruction.ts';
import { ACTION_AT, PACKET, SLOT_AT } from './hooks.ts';
import { ACTION, liveState, PROBES, SLOTS } from './layout.ts';
import type { Family } from './parse.ts';
import { mixing } from './tuple-hash.ts';

/** A flow table. */
export interface TableOf {
  /** Descriptor of an array of one value. */
  readonly map: number;
  /** Slots that a hash selects from, a power of two; PROBES - 1 more follow. */
  readonly slots: number;
}

/** The director's tables that a program is emitted for. */
export interface Tables {
  /** The flow tables, by IP version. */
  readonly flows: Readonly<Record<4 | 6, TableOf>>;
  readonly seed: number;
  /** Descriptor of the array of one value that holds all actions. */
  readonly actions: number;
  readonly actionCount: number;
  /** The machine may reorder loads (arm64), so that slots are loaded with acquire. */
  readonly acquire: boolean;
}

/** Sets SLOT_AT and ACTION_AT for the packet with protocol r5, or jumps to `miss`. Clobbers r0 to r5. */
export function lookup(family: Family, tables: Tables): Fragment {
  const { label, version } = family;
  const { map, slots } = tables.flows[version];
  const layout = SLOTS[version];
  return [
    version === 4 ? key4(family, tables) : key6(family, tables),
    and32.imm(R0, slots - 1),
    lsh.imm(R0, Math.log2(layout.size)),
    loadMapValue(SLOT_AT, map),
    add.reg(SLOT_AT, R0),
    Array.from({ length: PROBES }, (_, i) => probe(family, tables, i)),
    at(label(`probe${PROBES}:`), jump(label('miss'))),
    at(label('hit'), load(W, R1, SLOT_AT, layout.action)),
    jge.imm(R1, tables.actionCount, label('miss')),
    lsh.imm(R1, Math.log2(ACTION)),
    loadMapValue(ACTION_AT, tables.actions),
    add.reg(ACTION_AT, R1),
  ];
}

/** IPv4: loads r0: hash, r2: source, r3: destination, r4: ports and state. */
const key4 = ({ src, dst, transport, version }: Family, { seed }: Tables): Fragment => [
  load(W, R2, PACKET, src),
  load(W, R3, PACKET, dst),
  load(W, R4, PACKET, transport),
  mov32.imm(R0, seed),
  mixing(R0, R2, R1),
  mixing(R0, R4, R1),
  mixing(R0, R3, R1),
  or.imm(R5, liveState(version, 0)),
  lsh.imm(R5, 32),
  or.reg(R4, R5),
];

/** IPv6: loads r0: hash, r2 and r3: source, r4 and r5: destination, r9: ports and state. */
const key6 = ({ src, dst, transport, version }: Family, { seed }: Tables): Fragment => [
  load(W, R9, PACKET, transport),
  mov32.imm(R0, seed),
  mixing(R0, R9, R1),
  or.imm(R5, liveState(version, 0)),
  lsh.imm(R5, 32),
  or.reg(R9, R5),
  load(DW, R2, PACKET, src),
  load(DW, R3, PACKET, src + 8),
  load(DW, R4, PACKET, dst),
  load(DW, R5, PACKET, dst + 8),
  [R2, R3, R4, R5].map((half) => [
    mixing(R0, half, R1),
    mov.reg(SLOT_AT, half),
    rsh.imm(SLOT_AT, 32),
    mixing(R0, SLOT_AT, R1),
  ]),
];

/** Jumps to `hit` with SLOT_AT set if the `i`-th slot of the window is the flow's. */
function probe({ version, label }: Family, { acquire }: Tables, i: number): Fragment {
  const { size, source, destination, ports } = SLOTS[version];
  const slot = i * size;
  const next = label(`probe${i + 1}:`);
  // One load for ports and state: what was written before the state is visible after it.
  const published = acquire
    ? atomic(DW, LOAD_ACQUIRE, R1, slot + ports, SLOT_AT)
    : load(DW, R1, SLOT_AT, slot + ports);
  const fields: readonly (readonly [width: Size, offset: number, register: Register])[] =
    version === 4
      ? [
          [W, source, R2],
          [W, destination, R3],
        ]
      : [
          [DW, source, R2],
          [DW, source + 8, R3],
          [DW, destination, R4],
          [DW, destination + 8, R5],
        ];
  return [
    at(label(`probe${i}:`), published),
    jne.reg(R1, version === 4 ? R4 : R9, next),
    fields.map(([width, offset, register]) => [
      load(width, R1, SLOT_AT, slot + offset),
      jne.reg(R1, register, next),
    ]),
    i === 0 ? [] : add.imm(SLOT_AT, slot),
    jump(label('hit')),
  ];
}
