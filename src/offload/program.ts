/** Emits the forwarder, for XDP or tc: forwards packets of known connections as src/forwarding does. */

import { assemble } from '../ebpf/assemble.ts';
import { at, exit, type Fragment, H, jeq, jump, load, mov, R0, R1 } from '../ebpf/instruction.ts';
import { IPV4_HEADER } from '../wire/ipv4.ts';
import { UDP_HEADER } from '../wire/udp.ts';
import type { Arrays } from './arrays.ts';
import { findReply, findRequest } from './find.ts';
import { ETHERTYPE, IPV4_TYPE, IPV6_TYPE, NETWORK } from './header-fields.ts';
import { CONTEXT, type Hook, PACKET, redirectTo, unlessReadable } from './hooks.ts';
import { unlessReleased } from './liveness.ts';
import { parse, V4, V6 } from './parse.ts';
import { rewrite } from './rewrite.ts';
import { divert, stranger } from './stranger.ts';
import { type Upcall, upcalls } from './upcall.ts';

/** Bytes of the shortest packet that programs read: Ethernet, IPv4 and UDP headers. */
export const SHORTEST = NETWORK + IPV4_HEADER + UDP_HEADER;

export interface ProgramParts {
  readonly hook: Hook;
  readonly arrays: Arrays;
  /** Where packets without a known flow are sent; undefined: the kernel processes them. */
  readonly upcall?: Upcall;
  /** Descriptor of OwnMacs, for XDP. */
  readonly macs?: number | undefined;
}

/** Returns the program as fragments, so that it can be wrapped and printed. */
export function forwarder({ hook, arrays, upcall, macs }: ProgramParts): Fragment {
  return [
    mov.reg(CONTEXT, R1),
    hook.unlessOurs(macs),
    hook.begin,
    unlessReadable(SHORTEST, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    jeq.imm(R1, IPV6_TYPE, V6.label('is')),
    jeq.imm(R1, IPV4_TYPE, V4.label('is')),
    jump('pass'),
    [V4, V6].map((family) => [
      at(family.label('is'), parse(family, hook)),
      at(family.label('find'), unlessReleased(arrays, 'pass')),
      findRequest(family, arrays, family.label('request')),
      findReply(family, arrays, {
        hit: family.label('reply'),
        miss: family.label('miss'),
        none: family.label('stranger'),
      }),
      rewrite(family, hook, arrays),
      upcall
        ? stranger(family, hook, arrays, upcall)
        : ['stranger', 'again'].map((name) => at(family.label(name), jump(family.label('miss')))),
    ]),
    at('transmit', hook.transmit),
    [V4, V6].map((family) => [
      upcalls(family, upcall, {
        miss: () => divert(family, arrays, 'miss'),
        pieces: () => divert(family, arrays, 'pieces'),
        other: () => divert(family, arrays, 'other'),
      }),
      upcall ? at(family.label('diverted'), jump('up')) : [],
    ]),
    upcall ? at('up', redirectTo(upcall.interfaceIndex)) : [],
    at('pass', mov.imm(R0, hook.pass)),
    exit(),
    at('drop', mov.imm(R0, hook.drop)),
    exit(),
  ];
}

export const forwarderCode = (parts: ProgramParts): Uint8Array<ArrayBuffer> => assemble(forwarder(parts));
