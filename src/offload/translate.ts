/** Emits network address translation, as src/forwarding/nat.ts does it. */
import { L4_CSUM_REPLACE, MARK_MANGLED_0, PSEUDO_HEADER } from '../ebpf/helper.ts';
import {
  add,
  at,
  B,
  call,
  DW,
  FP,
  type Fragment,
  H,
  jeq,
  jne,
  jump,
  load,
  mov,
  mov32,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  store,
  sub,
  W,
  xor,
  xor32,
} from '../ebpf/instruction.ts';
import { TCP_CHECKSUM, TCP_HEADER } from '../wire/tcp.ts';
import { UDP, UDP_CHECKSUM, UDP_HEADER } from '../wire/udp.ts';
import { HEADER_CHECKSUM } from './header-fields.ts';
import { CONTEXT, type Hook, PACKET } from './hooks.ts';
import type { Family } from './parse.ts';
import { age, TTL_CHANGE, updateChecksum } from './rewrite-steps.ts';
import { ADDRESS_CHANGE, NEW_ADDRESS, NEW_PORT, PORT_CHANGE } from './stack.ts';

/**
 * Replaces the destination of a request, or the source of a reply, by NEW_ADDRESS and NEW_PORT, and jumps to `transmit`.
 * Clobbers r0 to r5.
 */
export function translate(family: Family, hook: Hook, name: 'request' | 'reply'): Fragment {
  const { transport, protocol, version } = family;
  const address = name === 'request' ? family.dst : family.src;
  const port = transport + (name === 'request' ? 2 : 0);
  const checksums = { tcp: transport + TCP_CHECKSUM, udp: transport + UDP_CHECKSUM };
  const udp = Symbol('udp');
  return [
    changes(family, address, port),
    load(B, R5, PACKET, protocol),
    hook.name === 'tc' ? translateChecksum(family, hook, checksums) : [],
    readdress(family, address, port),
    version === 4
      ? [
          load(B, R1, PACKET, family.ttl),
          sub.imm(R1, 1),
          store(B, PACKET, family.ttl, R1),
          load(DW, R2, FP, ADDRESS_CHANGE),
          add.imm(R2, TTL_CHANGE),
          updateChecksum(HEADER_CHECKSUM, R2),
        ]
      : age(family),
    hook.name === 'tc'
      ? jump('transmit')
      : [
          load(DW, R3, FP, ADDRESS_CHANGE),
          load(DW, R1, FP, PORT_CHANGE),
          add.reg(R3, R1),
          jeq.imm(R5, UDP, udp),
          hook.readable(transport + TCP_HEADER),
          updateChecksum(checksums.tcp, R3),
          jump('transmit'),
          at(udp, updateChecksum(checksums.udp, R3, neverZero())),
          jump('transmit'),
        ],
  ];
}

/**
 * Stores the changes of checksums: the sum of the new words and of the complements of the old ones (RFC 1624), of up to
 * 32 and 17 bits. Clobbers r1 to r3.
 */
const changes = ({ version }: Family, address: number, port: number): Fragment => [
  mov.imm(R3, 0),
  (version === 4 ? [0] : [0, 4, 8, 12]).map((word) => [
    load(W, R1, PACKET, address + word),
    xor32.imm(R1, -1),
    add.reg(R3, R1),
    load(W, R1, FP, NEW_ADDRESS + word),
    add.reg(R3, R1),
  ]),
  Array.from({ length: version === 4 ? 1 : 2 }, () => [
    mov.reg(R1, R3),
    rsh.imm(R1, 32),
    mov32.reg(R3, R3),
    add.reg(R3, R1),
  ]),
  store(DW, FP, ADDRESS_CHANGE, R3),
  load(H, R1, PACKET, port),
  xor.imm(R1, 0xffff),
  load(DW, R2, FP, NEW_PORT),
  add.reg(R1, R2),
  store(DW, FP, PORT_CHANGE, R1),
];

/** Replaces a UDP checksum of 0, in r1, by all ones (RFC 768). */
function neverZero(): Fragment {
  const skip = Symbol('skip');
  return [jne.imm(R1, 0, skip), mov.imm(R1, 0xffff), at(skip, mov.reg(R1, R1))];
}

const readdress = ({ version }: Family, address: number, port: number): Fragment => [
  (version === 4 ? [0] : [0, 4, 8, 12]).map((word) => [
    load(W, R1, FP, NEW_ADDRESS + word),
    store(W, PACKET, address + word, R1),
  ]),
  load(DW, R1, FP, NEW_PORT),
  store(H, PACKET, port, R1),
];

/**
 * tc: updates the checksum by a helper, since the kernel knows whether it covers the packet or the pseudo header only.
 * Addresses are part of the pseudo header, ports are not.
 */
function translateChecksum(
  { transport }: Family,
  hook: Hook,
  checksums: { readonly tcp: number; readonly udp: number },
): Fragment {
  const udp = Symbol('udp');
  const done = Symbol('done');
  const change = (offset: number, flags: number, by: number): Fragment => [
    mov.reg(R1, CONTEXT),
    mov.imm(R2, offset),
    mov.imm(R3, 0),
    load(DW, R4, FP, by),
    mov.imm(R5, flags),
    call(L4_CSUM_REPLACE),
    jne.imm(R0, 0, 'drop'),
  ];
  const both = (offset: number, flags: number): Fragment => [
    change(offset, flags | PSEUDO_HEADER, ADDRESS_CHANGE),
    change(offset, flags, PORT_CHANGE),
  ];
  return [
    jeq.imm(R5, UDP, udp),
    both(checksums.tcp, 0),
    jump(done),
    at(udp, both(checksums.udp, MARK_MANGLED_0)),
    at(done, hook.reload(transport + UDP_HEADER)),
  ];
}
