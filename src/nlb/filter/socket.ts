/** Looks for the socket of the connection whose tuple is on the stack. */
import { SK_RELEASE, SKC_LOOKUP_TCP } from '../../ebpf/helper.ts';
import {
  add,
  call,
  FP,
  type Fragment,
  jeq,
  load,
  mov,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R8,
  W,
} from '../../ebpf/instruction.ts';
import { CONTEXT } from '../../offload/hooks.ts';
import type { Family } from '../../offload/parse.ts';
import { PORTS, TUPLE } from './stack.ts';

/* States of sockets (include/net/tcp_states.h), and their offset in struct bpf_sock. */
export const TCP_TIME_WAIT = 6;
export const TCP_LISTEN = 10;
/** Half-open: the first packet was answered, and the answer is not acknowledged yet. */
export const TCP_NEW_SYN_RECV = 12;
const SOCKET_STATE = 72;
/** BPF_F_CURRENT_NETNS: the namespace of the packet's device. */
const CURRENT_NAMESPACE = -1;

/** Sets r8 to the state of the socket; jumps to `none` if there is none. Clobbers r0 to r5. */
export const loadSocketState = ({ address }: Family, none: string): Fragment => [
  mov.reg(R1, CONTEXT),
  mov.reg(R2, FP),
  add.imm(R2, TUPLE),
  mov.imm(R3, 2 * address + PORTS),
  mov.imm(R4, CURRENT_NAMESPACE),
  mov.imm(R5, 0),
  call(SKC_LOOKUP_TCP),
  jeq.imm(R0, 0, none),
  load(W, R8, R0, SOCKET_STATE),
  mov.reg(R1, R0),
  call(SK_RELEASE),
];
