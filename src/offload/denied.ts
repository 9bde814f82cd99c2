/** Emits the lookup of a new connection's client in the deny and allow lists. */
import { MAP_LOOKUP } from '../ebpf/helper.ts';
import {
  add,
  at,
  call,
  DW,
  FP,
  type Fragment,
  jeq,
  jne,
  jump,
  type Label,
  load,
  loadMap,
  loadMapValue,
  lsh,
  mov,
  or,
  R0,
  R1,
  R2,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { MAPPED_WORD } from '../table/packet-order.ts';
import { COUNTERS, SERVICE, SERVICE_BYTES, SETTINGS } from '../table/record-layout.ts';
import { ACCESS_ADDRESS, ACCESS_ALLOW, ACCESS_BITS, ACCESS_IPV6, ACCESS_LIST } from './access-map.ts';
import type { Arrays } from './arrays.ts';
import { PACKET } from './hooks.ts';
import type { Family } from './parse.ts';
import * as stack from './stack.ts';
import { counted } from './track.ts';

const RECORD_SHIFT = Math.log2(SERVICE_BYTES);

/**
 * Drops the packet if a deny list has its client, and no allow list has (src/director/access-lists.ts). Jumps to `miss` if the
 * client had a connection, which the director ends. Expects the number of
 * the service. Clobbers r0 to r5.
 */
export function unlessDenied({ version, src }: Family, arrays: Arrays, miss: Label): Fragment {
  const { settings, services, access } = arrays;
  const open = Symbol('open');
  const listed = Symbol('listed');
  const key = stack.ACCESS_KEY;
  const address = key + ACCESS_ADDRESS;
  const family = version === 4 ? 0 : ACCESS_IPV6;
  const lookUp = (list: number, of: 'all services' | 'the service'): Fragment => [
    of === 'all services'
      ? storeImm(W, FP, key + ACCESS_LIST, family | list)
      : [
          load(DW, R1, FP, stack.SERVICE_NUMBER),
          or.imm(R1, family | list),
          store(W, FP, key + ACCESS_LIST, R1),
        ],
    loadMap(R1, access),
    mov.reg(R2, FP),
    add.imm(R2, key),
    call(MAP_LOOKUP),
  ];
  return [
    load(DW, R2, FP, stack.SERVICE_NUMBER),
    lsh.imm(R2, RECORD_SHIFT),
    loadMapValue(R0, services, SERVICE.lists),
    add.reg(R0, R2),
    load(W, R1, R0, 0),
    loadMapValue(R2, settings),
    load(W, R2, R2, SETTINGS.lists),
    or.reg(R1, R2),
    jeq.imm(R1, 0, open),
    storeImm(W, FP, key, ACCESS_BITS),
    version === 4
      ? [
          storeImm(DW, FP, address, 0),
          storeImm(W, FP, address + 8, MAPPED_WORD),
          load(W, R1, PACKET, src),
          store(W, FP, address + 12, R1),
        ]
      : [0, 8].map((half) => [load(DW, R1, PACKET, src + half), store(DW, FP, address + half, R1)]),
    lookUp(0, 'all services'),
    jne.imm(R0, 0, listed),
    lookUp(0, 'the service'),
    jeq.imm(R0, 0, open),
    at(listed, lookUp(ACCESS_ALLOW, 'all services')),
    jne.imm(R0, 0, open),
    lookUp(ACCESS_ALLOW, 'the service'),
    jne.imm(R0, 0, open),
    load(DW, R1, FP, stack.FORMER_TRACK),
    jne.imm(R1, 0, miss),
    storeImm(DW, FP, stack.DESTINATION_NUMBER, 0),
    counted(arrays),
    load(DW, R1, R2, COUNTERS.expired),
    add.imm(R1, 1),
    store(DW, R2, COUNTERS.expired, R1),
    jump('drop'),
    at(open, mov.imm(R0, 0)),
    mov.imm(R1, 0),
    load(DW, R2, FP, stack.SERVICE_NUMBER),
  ];
}
