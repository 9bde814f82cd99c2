/** Emits network address translation, as src/forwarding/nat.ts does it. */
import { L4_CSUM_REPLACE, MARK_MANGLED_0, PSEUDO_HEADER } from '../ebpf/helper.ts';
import {
  at,
  B,
  call,
  type Fragment,
  H,
  jeq,
  jne,
  jump,
  load,
  mov,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  store,
  sub,
  W,
} from '../ebpf/instruction.ts';
import { TCP_CHECKSUM, TCP_HEADER } from '../wire/tcp.ts';
import { UDP, UDP_CHECKSUM, UDP_HEADER } from '../wire/udp.ts';
import { HEADER_CHECKSUM } from './header-fields.ts';
import { ACTION_AT, CONTEXT, type Hook, PACKET } from './hooks.ts';
import {
  ACTION_ADDRESS,
  ACTION_ADDRESS_CHANGE,
  ACTION_HEADER_CHANGE,
  ACTION_PORT,
  ACTION_PORT_CHANGE,
  ACTION_TRANSPORT_CHANGE,
} from './layout.ts';
import type { Family } from './parse.ts';
import { age, count, updateChecksum } from './rewrite-steps.ts';

/** Replaces the address at `address` and the port at `port` by the action's, and jumps to `transmit`. */
export function translate(family: Family, hook: Hook, address: number, port: number, name: string): Fragment {
  const { label, transport, protocol, version } = family;
  const udp = label(`${name}-udp`);
  const checksums = { tcp: transport + TCP_CHECKSUM, udp: transport + UDP_CHECKSUM };
  const checked = label(`${name}-checked`);
  return [
    load(B, R5, PACKET, protocol),
    jne.imm(R5, UDP, checked),
    // A datagram without a checksum gets one, which the director computes.
    load(H, R1, PACKET, checksums.udp),
    jeq.imm(R1, 0, label('miss')),
    at(checked, count(family, hook)),
    hook.name === 'tc' ? translateChecksum(family, hook, name, checksums) : [],
    readdress(family, address, port),
    version === 4
      ? [
          load(B, R1, PACKET, family.ttl),
          sub.imm(R1, 1),
          store(B, PACKET, family.ttl, R1),
          load(H, R2, ACTION_AT, ACTION_HEADER_CHANGE),
          updateChecksum(HEADER_CHECKSUM, R2),
        ]
      : age(family),
    hook.name === 'tc'
      ? jump('transmit')
      : [
          jeq.imm(R5, UDP, udp),
          hook.readable(transport + TCP_HEADER),
          load(H, R2, ACTION_AT, ACTION_TRANSPORT_CHANGE),
          updateChecksum(checksums.tcp, R2),
          jump('transmit'),
          at(udp, load(H, R2, ACTION_AT, ACTION_TRANSPORT_CHANGE)),
          updateChecksum(checksums.udp, R2, neverZero(label(`${name}-sum`))),
          jump('transmit'),
        ],
  ];
}

/** Replaces a UDP checksum of 0 by all ones (RFC 768). */
const neverZero = (skip: string): Fragment => [
  jne.imm(R1, 0, skip),
  mov.imm(R1, 0xffff),
  at(skip, mov.reg(R1, R1)),
];

const readdress = ({ version }: Family, address: number, port: number): Fragment => [
  (version === 4 ? [0] : [0, 4, 8, 12]).map((i) => [
    load(W, R1, ACTION_AT, ACTION_ADDRESS + i),
    store(W, PACKET, address + i, R1),
  ]),
  load(H, R1, ACTION_AT, ACTION_PORT),
  store(H, PACKET, port, R1),
];

/**
 * tc: updates the checksum by a helper, since the kernel knows whether it covers the packet or the pseudo header only.
 * Addresses are part of the pseudo header, ports are not.
 */
function translateChecksum(
  { label, transport }: Family,
  hook: Hook,
  name: string,
  checksums: { readonly tcp: number; readonly udp: number },
): Fragment {
  const change = (offset: number, flags: number, from: number): Fragment => [
    mov.reg(R1, CONTEXT),
    mov.imm(R2, offset),
    mov.imm(R3, 0),
    load(H, R4, ACTION_AT, from),
    mov.imm(R5, flags),
    call(L4_CSUM_REPLACE),
    jne.imm(R0, 0, 'drop'),
  ];
  const both = (offset: number, flags: number): Fragment => [
    change(offset, flags | PSEUDO_HEADER, ACTION_ADDRESS_CHANGE),
    change(offset, flags, ACTION_PORT_CHANGE),
  ];
  const udp = label(`${name}-udp`);
  const done = label(`${name}-done`);
  return [
    jeq.imm(R5, UDP, udp),
    both(checksums.tcp, 0),
    jump(done),
    at(udp, both(checksums.udp, MARK_MANGLED_0)),
    at(done, hook.reload(transport + UDP_HEADER)),
  ];
}
