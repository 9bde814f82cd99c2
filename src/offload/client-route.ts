/** Emits the look at the route of a client whose packet begins a connection. */
import { MAP_LOOKUP } from '../ebpf/helper.ts';
import {
  add,
  call,
  DW,
  FP,
  type Fragment,
  jeq,
  jne,
  type Label,
  load,
  loadMap,
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
import { ADDRESS_BITS } from '../wire/prefix.ts';
import type { Arrays } from './arrays.ts';
import { CLIENT_ADDRESS, CLIENT_INTERFACE, CLIENT_NEXT_HOP } from './client-map.ts';
import { type Hook, PACKET } from './hooks.ts';
import type { Family } from './parse.ts';
import * as stack from './stack.ts';

/**
 * Stores the next hop of the client; 0: not known. Jumps to `miss` unless replies bypass this host or the next hop is known,
 * and unless packets to the client leave by the interface that this one came by: the kernel's strictest check of a source
 * (rp_filter 1). Expects BYPASSED of the stack. Clobbers r0 to r5.
 */
export function unlessRouted(
  { version, src }: Family,
  hook: Hook,
  { clients }: Arrays,
  miss: Label,
): Fragment {
  const at4 = stack.CLIENT_KEY + CLIENT_ADDRESS;
  return [
    storeImm(W, FP, stack.CLIENT_KEY, ADDRESS_BITS),
    version === 4
      ? [
          storeImm(W, FP, at4, 0),
          storeImm(W, FP, at4 + 4, 0),
          storeImm(W, FP, at4 + 8, MAPPED_WORD),
          load(W, R1, PACKET, src),
          store(W, FP, at4 + 12, R1),
        ]
      : [0, 4, 8, 12].map((i) => [load(W, R1, PACKET, src + i), store(W, FP, at4 + i, R1)]),
    loadMap(R1, clients),
    mov.reg(R2, FP),
    add.imm(R2, stack.CLIENT_KEY),
    call(MAP_LOOKUP),
    jeq.imm(R0, 0, miss),
    load(W, R1, R0, CLIENT_INTERFACE),
    hook.ingress(R2),
    jne.reg(R1, R2, miss),
    load(W, R1, R0, CLIENT_NEXT_HOP),
    store(DW, FP, stack.CLIENT_HOP, R1),
    load(DW, R2, FP, stack.BYPASSED),
    or.reg(R1, R2),
    jeq.imm(R1, 0, miss),
  ];
}
