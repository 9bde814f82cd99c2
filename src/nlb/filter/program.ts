/**
 * Emits the filter of a cluster without a director, at the tc hook of each host. Of the packets to the cluster's addresses
 * it passes, to the host's own stack:
 *
 *   1. TCP of a connection that has a socket here, and ICMP errors about one
 *   2. first packets of TCP, and UDP, of the places that this host accepts at the time, while its lease lasts
 *   3. fragments without ports: every host receives them, and only the one that has the first fragment uses them
 *   4. what no rule matches, ICMP included, on the default host, which also answers ARP and neighbor solicitations
 *
 * It drops the rest, and all packets of suspended rules. The frames have the cluster's MAC address, so the stack ignores them unless the program marks them as
 * the host's: without the program, the host answers nothing.
 */
import { assemble } from '../../ebpf/assemble.ts';
import { SKB_CHANGE_TYPE } from '../../ebpf/helper.ts';
import { at, B, call, exit, H, jeq, jump, load, mov, R0, R1, R2 } from '../../ebpf/instruction.ts';
import type { PortRule } from '../../model/nlb.ts';
import { ETHERTYPE, IPV4_TYPE, IPV6_TYPE, NETWORK } from '../../offload/header-fields.ts';
import { CONTEXT, PACKET, tc, unlessReadable } from '../../offload/hooks.ts';
import { type Family, V4, V6 } from '../../offload/parse.ts';
import { isV4, parseAddress } from '../../wire/address.ts';
import { decide } from './decision.ts';
import { readError, readHeader } from './headers.ts';
import { checkLease, count, type FilterOptions, loadPlaces } from './maps.ts';
import { answerArp, answerSolicitation } from './neighbor-answers.ts';

/** Why packets are dropped. */
const REASONS = ['others', 'unknown', 'lapsed', 'disabled', 'suspended'] as const;

const PACKET_HOST = 0;

/** Returns the program. */
export function filterCode(options: FilterOptions): Uint8Array<ArrayBuffer> {
  const { maps } = options;
  const addresses = options.cluster.addresses.flatMap((text) => parseAddress(text) ?? []);
  const families = [V4, V6].filter(({ version }) => addresses.some((one) => isV4(one) === (version === 4)));
  const ofFamily = ({ version }: Family) => addresses.filter((one) => isV4(one) === (version === 4));
  // The kernel refuses programs with instructions that are never reached.
  const some = (is: (rule: PortRule) => boolean) => options.cluster.rules.some(is);
  const last = options.cluster.rules.length - 1;
  const unlessDefault = [
    checkLease(maps, 'pass'),
    loadPlaces(maps, last, 'pass'),
    load(B, R1, R0, 0),
    jeq.imm(R1, 0, 'pass'),
  ];
  return assemble([
    mov.reg(CONTEXT, R1),
    tc.begin,
    unlessReadable(NETWORK + V4.header, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    families.map((family) => jeq.imm(R1, family.version === 4 ? IPV4_TYPE : IPV6_TYPE, family.label('ip'))),
    families.includes(V4)
      ? answerArp({ ...options, addresses: ofFamily(V4), unlessDefault, count: count(maps, 'answers') })
      : jump('pass'),
    families.map((family) => [
      family.version === 6
        ? answerSolicitation({
            ...options,
            addresses: ofFamily(V6),
            unlessDefault,
            count: count(maps, 'answers'),
          })
        : at(family.label('ip'), mov.imm(R1, 0)),
      readHeader(family, ofFamily(family)),
      readError(family),
      decide(family, options, ofFamily(family)),
    ]),
    at('known', count(maps, 'known')),
    jump('mine'),
    some(({ protocol, hosts }) => protocol !== 'any' && hosts !== 'disabled')
      ? [at('new', count(maps, 'new')), jump('mine')]
      : [],
    at('default', count(maps, 'default')),
    jump('mine'),
    at('fragment', count(maps, 'fragments')),
    at('mine', mov.reg(R1, CONTEXT)),
    mov.imm(R2, PACKET_HOST),
    call(SKB_CHANGE_TYPE),
    at('pass', mov.imm(R0, tc.pass)),
    exit(),
    REASONS.filter((reason) => reason !== 'disabled' || some(({ hosts }) => hosts === 'disabled')).map(
      (reason) => [at(reason, count(maps, reason)), jump('drop')],
    ),
    at('drop', mov.imm(R0, tc.drop)),
    exit(),
  ]);
}
