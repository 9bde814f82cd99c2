/**
 * Emits the program at the egress of the cluster's interface, which drops resets for connections that another host accepted.
 *
 * If the answer to a first packet is lost, the client repeats the packet, and if its place has another owner by then, both hosts
 * have answered it. The client uses one of the answers, and the other host would reset the connection: its stack takes the
 * client's acknowledgment for a wrong one of the half-open connection there (RFC 9293, 3.10.7.4). It resets no other connections
 * of the cluster without an acknowledgment, and only half-open ones are in the state that the program looks for.
 */
import { assemble } from '../../ebpf/assemble.ts';
import {
  and,
  at,
  B,
  exit,
  type Fragment,
  H,
  jeq,
  jne,
  jump,
  load,
  mov,
  R0,
  R1,
  R8,
} from '../../ebpf/instruction.ts';
import type { NlbCluster } from '../../model/nlb.ts';
import { jumpIfFor } from '../../offload/decap.ts';
import { ETHERTYPE, IPV4_TYPE, IPV6_TYPE, NETWORK, PLAIN_IPV4 } from '../../offload/header-fields.ts';
import { CONTEXT, PACKET, tc, unlessReadable } from '../../offload/hooks.ts';
import { type Family, V4, V6 } from '../../offload/parse.ts';
import { type Address, isV4, parseAddress } from '../../wire/address.ts';
import { ACK, RST, TCP, TCP_FLAGS, TCP_HEADER } from '../../wire/tcp.ts';
import { readSent } from './headers.ts';
import { count, type FilterMaps } from './maps.ts';
import { loadSocketState, TCP_NEW_SYN_RECV } from './socket.ts';

export interface ResetOptions {
  readonly cluster: Pick<NlbCluster, 'addresses'>;
  readonly maps: Pick<FilterMaps, 'counters'>;
}

/** Returns the program. */
export function resetCode({ cluster, maps }: ResetOptions): Uint8Array<ArrayBuffer> {
  const addresses = cluster.addresses.flatMap((text) => parseAddress(text) ?? []);
  const families = [V4, V6].flatMap((family) => {
    const own = addresses.filter((one) => isV4(one) === (family.version === 4));
    return own.length > 0 ? [{ family, own }] : [];
  });
  return assemble([
    mov.reg(CONTEXT, R1),
    tc.begin,
    unlessReadable(NETWORK + V4.header, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    families.map(({ family: { version, label } }) =>
      jeq.imm(R1, version === 4 ? IPV4_TYPE : IPV6_TYPE, label('ip')),
    ),
    jump('pass'),
    families.map(({ family, own }) => examine(family, own)),
    at('pass', mov.imm(R0, tc.pass)),
    exit(),
    at('drop', count(maps, 'resets')),
    mov.imm(R0, tc.drop),
    exit(),
  ]);
}

/** Jumps to `drop` for a reset without acknowledgment of a half-open connection, and to `pass` for other packets. */
function examine(family: Family, own: readonly Address[]): Fragment {
  const { version, src, dst, protocol, transport, label } = family;
  return [
    at(label('ip'), unlessReadable(transport + TCP_HEADER, 'pass')),
    version === 4 ? [load(B, R1, PACKET, NETWORK), jne.imm(R1, PLAIN_IPV4, 'pass')] : [],
    load(B, R1, PACKET, protocol),
    jne.imm(R1, TCP, 'pass'),
    load(B, R1, PACKET, transport + TCP_FLAGS),
    and.imm(R1, RST | ACK),
    jne.imm(R1, RST, 'pass'),
    own.map((one) => jumpIfFor(one, src, label('cluster'))),
    jump('pass'),
    at(label('cluster'), readSent(family, { src, dst, ports: transport })),
    loadSocketState(family, 'pass'),
    jeq.imm(R8, TCP_NEW_SYN_RECV, 'drop'),
    jump('pass'),
  ];
}
