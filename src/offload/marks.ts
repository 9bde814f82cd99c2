/** Emits the rules that give packets firewall marks, as src/director/marks.ts applies them, for services by mark. */
import {
  and,
  at,
  B,
  DW,
  type Fragment,
  H,
  jgt,
  jlt,
  jne,
  jump,
  type Label,
  load,
  loadImm64,
  mov,
  R1,
  R4,
  R8,
  storeImm,
  toBig,
  W,
} from '../ebpf/instruction.ts';
import type { ServiceAddress } from '../model/service.ts';
import { inPacketOrder } from '../table/packet-order.ts';
import { type Address, ANY4, isV4 } from '../wire/address.ts';
import { PACKET } from './hooks.ts';
import type { Family } from './parse.ts';
import { SCRATCH } from './scratch.ts';

/** Register of the processor's entry. */
export const ENTRY_AT = R8;

/** An address and its mask, which has covered it. */
interface Prefix {
  readonly address: Address;
  readonly mask: Address;
}

/** A rule; the first that matches a packet decides. */
export interface MarkMatcher {
  readonly mark: number;
  /** undefined: any. */
  readonly to: Prefix | undefined;
  readonly from: Prefix | undefined;
  /** 0: any. */
  readonly protocol: number;
  readonly firstPort: number;
  readonly lastPort: number;
}

/** What becomes of packets with a mark: the number of the service's record, or TO_DIRECTOR. */
export interface MarkedRule extends MarkMatcher {
  /** Of each IP version; 0: the mark has no service, the packet's address decides. */
  readonly services: Readonly<Record<4 | 6, number>>;
}

/** In place of a number: all packets with the mark go up to the director. */
export const TO_DIRECTOR = 0x1_0000;
/** More rules than this are not emitted: all packets of no connection go up then. */
export const MAX_MARK_RULES = 512;

/** Reports whether packets of that IP version can have such an address. IPv4 addresses are ::ffff:a.b.c.d, which ::/0 has, too. */
function applies(prefix: Prefix | undefined, { version }: Family): boolean {
  if (prefix === undefined) return true;
  const { address, mask } = prefix;
  if (version === 6) return !isV4(address) || mask[2] !== 0xffff_ffff;
  return [0, 1, 2].every((i) => (ANY4[i]! & mask[i]!) >>> 0 === address[i]);
}

/** Jumps to `next` unless the packet's address at `at` has the prefix. Clobbers r1 and r4. */
function unlessIn(prefix: Prefix | undefined, { version }: Family, at: number, next: Label): Fragment {
  if (prefix === undefined) return [];
  const address = Array.from(prefix.address, (word) => inPacketOrder(word) | 0);
  const mask = Array.from(prefix.mask, (word) => inPacketOrder(word) | 0);
  if (version === 4)
    return [
      load(W, R1, PACKET, at),
      loadImm64(R4, mask[3]!, 0),
      and.reg(R1, R4),
      loadImm64(R4, address[3]!, 0),
      jne.reg(R1, R4, next),
    ];
  return [0, 1].map((half) => [
    load(DW, R1, PACKET, at + 8 * half),
    loadImm64(R4, mask[2 * half]!, mask[2 * half + 1]!),
    and.reg(R1, R4),
    loadImm64(R4, address[2 * half]!, address[2 * half + 1]!),
    jne.reg(R1, R4, next),
  ]);
}

/** Jumps to `next` unless the destination's port is in the range. Loads it again, so that the verifier forgets each range. Clobbers r1. */
function unlessPort({ firstPort, lastPort }: MarkMatcher, { transport }: Family, next: Label): Fragment {
  if (firstPort === 0 && lastPort === 0xffff) return [];
  return [
    load(H, R1, PACKET, transport + 2),
    toBig(R1, 16),
    jlt.imm(R1, firstPort, next),
    jgt.imm(R1, lastPort, next),
  ];
}

/**
 * Writes what becomes of the packet, which has ports, into the processor's entry at ENTRY_AT; 0: its address decides. The
 * verifier does not know what is written, so that it continues once and not for each rule. Clobbers r1 and r4.
 */
export function markedService(family: Family, rules: readonly MarkedRule[]): Fragment {
  const done = Symbol('done');
  const { protocol, src, dst, version } = family;
  return [
    rules
      .filter(({ to, from }) => applies(to, family) && applies(from, family))
      .map((rule) => {
        const next = Symbol('next');
        return [
          rule.protocol === 0 ? [] : [load(B, R1, PACKET, protocol), jne.imm(R1, rule.protocol, next)],
          unlessPort(rule, family, next),
          unlessIn(rule.to, family, dst, next),
          unlessIn(rule.from, family, src, next),
          storeImm(W, ENTRY_AT, SCRATCH.marked, rule.services[version]),
          jump(done),
          at(next, mov.imm(R1, 0)),
        ];
      }),
    storeImm(W, ENTRY_AT, SCRATCH.marked, 0),
    at(done, mov.imm(R1, 0)),
  ];
}

/**
 * Jumps to `up` for a packet whose ports are not known, a fragment or an ICMP error, if it may concern a marked connection:
 * by its destination's address alone. Clobbers r1 and r4.
 */
export const unlessUnmarked = (family: Family, rules: readonly MarkedRule[], up: Label): Fragment =>
  rules
    .filter(({ to, services }) => applies(to, family) && services[family.version] !== 0)
    .map(({ to }) => {
      const next = Symbol('next');
      return [unlessIn(to, family, family.dst, next), jump(up), at(next, mov.imm(R1, 0))];
    });

/**
 * Returns the rules with what becomes of packets with their marks. `owned`: services by mark whose packets are the
 * director's, some of which do not exist any more; `services`: those that exist.
 */
export function markedRules(
  matchers: readonly MarkMatcher[],
  owned: Iterable<ServiceAddress>,
  services: Iterable<{ readonly index: number; readonly mark: number; readonly family: 4 | 6 }>,
): MarkedRule[] {
  const numbers = new Map<string, number>();
  for (const service of owned)
    if ('mark' in service) numbers.set(`${service.mark}/${service.family}`, TO_DIRECTOR);
  for (const { index, mark, family } of services) if (mark !== 0) numbers.set(`${mark}/${family}`, index);
  const of = (mark: number, family: 4 | 6) => numbers.get(`${mark}/${family}`) ?? 0;
  return matchers.map((each) => ({ ...each, services: { 4: of(each.mark, 4), 6: of(each.mark, 6) } }));
}
