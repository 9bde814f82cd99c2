/** Emits what the forwarding methods do to a packet of a known flow, as src/forwarding does. */
import {
  add,
  at,
  B,
  DW,
  div,
  FP,
  type Fragment,
  H,
  jeq,
  jgt,
  jne,
  jump,
  load,
  loadImm64,
  lsh,
  mov,
  mul,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  store,
  sub,
  W,
} from '../ebpf/instruction.ts';
import { TCP, TCP_HEADER } from '../wire/tcp.ts';
import { UDP_HEADER } from '../wire/udp.ts';
import { tunnel4, tunnel6 } from './encapsulate.ts';
import { TCP_DATA_OFFSET } from './header-fields.ts';
import { ACTION_AT, CONTEXT, type Hook, PACKET, SKB_GSO_SIZE } from './hooks.ts';
import { ACTION_KIND, ACTION_MTU, KINDS, PACKET_SHIFT } from './layout.ts';
import { type Family, loadLength } from './parse.ts';
import { age, COUNT, count } from './rewrite-steps.ts';
import { translate } from './translate.ts';

/**
 * Loads the packet's length into r3 and jumps to `miss` if it is too long for the action. tc: the length of a merged
 * packet is that of its segments, which are also counted. Clobbers r1 to r5.
 */
function measure(family: Family, hook: Hook): Fragment {
  const { label, protocol, transport, header } = family;
  const fits: Fragment = [load(H, R2, ACTION_AT, ACTION_MTU), jgt.reg(R3, R2, label('miss'))];
  if (hook.name === 'xdp') return [loadLength(family), fits];
  return [
    loadLength(family),
    loadImm64(R4, 0, 1 << (PACKET_SHIFT - 32)),
    add.reg(R4, R3),
    store(DW, FP, COUNT, R4),
    load(W, R2, CONTEXT, SKB_GSO_SIZE),
    jeq.imm(R2, 0, label('single')),
    // r5: bytes of all headers, r4: segments.
    mov.imm(R5, header + UDP_HEADER),
    load(B, R1, PACKET, protocol),
    jne.imm(R1, TCP, label('pieces-udp')),
    mov.reg(R5, R2),
    hook.readable(transport + TCP_HEADER),
    mov.reg(R2, R5),
    load(B, R5, PACKET, transport + TCP_DATA_OFFSET),
    rsh.imm(R5, 4),
    lsh.imm(R5, 2),
    add.imm(R5, header),
    // The kernel's count of segments (gso_segs) is 0 in packets from a virtual machine's host.
    at(label('pieces-udp'), mov.reg(R4, R3)),
    sub.reg(R4, R5),
    add.reg(R4, R2),
    sub.imm(R4, 1),
    div.reg(R4, R2),
    mov.reg(R1, R4),
    sub.imm(R1, 1),
    mul.reg(R1, R5),
    add.reg(R1, R3),
    lsh.imm(R4, PACKET_SHIFT),
    add.reg(R4, R1),
    store(DW, FP, COUNT, R4),
    mov.reg(R3, R2),
    add.reg(R3, R5),
    at(label('single'), fits),
  ];
}

/** Applies the action that was found and jumps to `transmit`. */
export function rewrite(family: Family, hook: Hook): Fragment {
  const { label } = family;
  return [
    measure(family, hook),
    load(W, R1, ACTION_AT, ACTION_KIND),
    jeq.imm(R1, KINDS.route, label('route')),
    jeq.imm(R1, KINDS.toDestination, label('to-destination')),
    jeq.imm(R1, KINDS.toClient, label('to-client')),
    family.version === 4 ? jeq.imm(R1, KINDS.tunnel4, label('tunnel4')) : [],
    jne.imm(R1, KINDS.tunnel6, label('miss')),
    tunnel6(family, hook),
    family.version === 4 ? tunnel4(hook) : [],
    at(label('to-client'), translate(family, hook, family.src, family.transport, 'to-client')),
    at(label('to-destination'), translate(family, hook, family.dst, family.transport + 2, 'to-destination')),
    at(label('route'), [count(family, hook), age(family), jump('transmit')]),
  ];
}
