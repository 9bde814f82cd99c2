/**
 * Emits the program that handles packets of no connection where rules give firewall marks that services have. The rules are in
 * its code: it is loaded again when they change. `known` calls it (stranger.ts); if it is not loaded, packets go up.
 */
import { assemble } from '../ebpf/assemble.ts';
import {
  and,
  at,
  B,
  DW,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jne,
  jump,
  load,
  mov,
  R0,
  R1,
  R2,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { SCTP } from '../wire/sctp.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP, UDP_HEADER } from '../wire/udp.ts';
import { type AdmissionParts, keepFlags } from './admit.ts';
import { ETHERTYPE, IPV4_TYPE, IPV6_TYPE } from './header-fields.ts';
import { CONTEXT, PACKET, redirectTo, unlessReadable } from './hooks.ts';
import { ENTRY_AT, type MarkedRule, markedService, TO_DIRECTOR, unlessUnmarked } from './marks.ts';
import { type Family, V4, V6 } from './parse.ts';
import { SHORTEST } from './program.ts';
import { loadScratch, PLACE, SCRATCH } from './scratch.ts';
import * as stack from './stack.ts';
import { FIRST_MULTICAST, first, MULTICAST_6 } from './stranger.ts';
import { upcalls } from './upcall.ts';

/** Protocols whose packets have ports where those of TCP and UDP are. */
const WITH_PORTS = [TCP, UDP, SCTP];

/** Returns the program as bytes. */
export const markedCode = (
  { hook, arrays, upcall }: AdmissionParts,
  rules: readonly MarkedRule[],
): Uint8Array<ArrayBuffer> =>
  assemble([
    mov.reg(CONTEXT, R1),
    hook.begin,
    unlessReadable(SHORTEST, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    jeq.imm(R1, IPV6_TYPE, V6.label('is')),
    jeq.imm(R1, IPV4_TYPE, V4.label('is')),
    jump('pass'),
    [V4, V6].map((family) => {
      const { label, transport, protocol } = family;
      return [
        at(label('is'), unlessReadable(transport + UDP_HEADER, 'pass')),
        loadScratch(arrays, 'up'),
        mov.reg(ENTRY_AT, R0),
        load(W, R1, R0, SCRATCH.row),
        store(DW, FP, stack.FOUND, R1),
        load(W, R1, R0, SCRATCH.track),
        store(DW, FP, stack.FORMER_TRACK, R1),
        load(W, R1, R0, SCRATCH.place),
        store(DW, FP, stack.PLACE, R1),
        storeImm(DW, FP, stack.MARK_SERVICE, 0),
        jeq.imm(R1, PLACE.pieces, label('pieces')),
        load(B, R1, PACKET, protocol),
        WITH_PORTS.map((each) => jeq.imm(R1, each, label('ports'))),
        jump(label('other')),
        at(label('ports'), mov.imm(R0, 0)),
        markedService(family, rules),
        load(W, R1, ENTRY_AT, SCRATCH.marked),
        store(DW, FP, stack.MARK_SERVICE, R1),
        load(DW, R1, FP, stack.PLACE),
        jne.imm(R1, PLACE.first, label('miss')),
        keepFlags(family),
        first(family, hook, arrays, { services: upcall.services, marked: marked(family) }),
        upcalls(family, upcall, {
          miss: () => [load(DW, R1, FP, stack.MARK_SERVICE), jne.imm(R1, 0, 'up')],
          pieces: () => unlessUnmarked(family, rules, 'up'),
          other: () => [],
        }),
      ];
    }),
    at('up', redirectTo(upcall.interfaceIndex)),
    at('pass', mov.imm(R0, hook.pass)),
    exit(),
    at('drop', mov.imm(R0, hook.drop)),
    exit(),
  ]);

/** Jumps to `numbered` with the service of the packet's mark in r2; falls through if it has none. Clobbers r1. */
function marked({ label, version, dst }: Family): Fragment {
  const unmarked = Symbol('unmarked');
  return [
    load(DW, R2, FP, stack.MARK_SERVICE),
    jeq.imm(R2, 0, unmarked),
    jeq.imm(R2, TO_DIRECTOR, 'up'),
    // The director leaves packets to a multicast address to the host.
    load(B, R1, PACKET, dst),
    version === 4 ? jge.imm(R1, FIRST_MULTICAST, 'up') : jeq.imm(R1, MULTICAST_6, 'up'),
    and.imm(R2, 0xffff),
    jump(label('numbered')),
    at(unmarked, mov.imm(R1, 0)),
  ];
}
