/** Recorded errors of a router on the path to a real server about tunnel packets. */
import type { ForwardingContext } from '../../src/forwarding/method.ts';
import { PathMtuHost } from '../../src/forwarding/path-mtu.ts';
import { tunnel } from '../../src/forwarding/tunnel.ts';
import { answerTunnelError, decodeTunnelled, isSentTo } from '../../src/forwarding/tunnel-error.ts';
import type { Connection } from '../../src/model/connection.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { Frame, HEADROOM } from '../../src/wire/frame.ts';
import { ICMP, icmp } from '../../src/wire/icmp.ts';
import { ICMP6, icmp6 } from '../../src/wire/icmp6.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { framed } from '../support/packets.ts';
import { packetOf } from './datagrams.ts';
import { address, destinationAt, RecordedHost } from './recorded-host.ts';

interface Answer {
  readonly type: number;
  readonly code: number;
  readonly rest: number;
  /** The real server that the connection has gone to instead. */
  readonly boundTo?: string;
  readonly damaged?: boolean;
  /** Payload bytes of the packet that the error is about; default 1400. */
  readonly payload?: number;
  /** The source of the quoted packet is another address than the director's. */
  readonly isForged?: boolean;
}

const decoded = (octets: Uint8Array): Packet => {
  const packet = new Packet();
  if (!packet.decode(framed(octets))) throw new Error('does not decode');
  return packet;
};

export function gatewayAnswer(client: string, vip: string, server: string, answer: Answer) {
  const host = new RecordedHost();
  const paths = new PathMtuHost(host);
  const context: ForwardingContext = { host: paths, settings: DEFAULT_SETTINGS, nextId: () => 1 };
  const request = packetOf({
    version: client.includes(':') ? 6 : 4,
    protocol: 6,
    src: address(client),
    dst: address(vip),
    srcPort: 1000,
    dstPort: 80,
    ttl: 64,
    tos: 0,
    id: 1,
    dontFragment: true,
    options: 0,
    data: new Uint8Array(answer.payload ?? 1400),
  });
  const connection: Connection = {
    row: 0,
    protocol: 6,
    caddr: address(client),
    cport: 1000,
    vaddr: address(vip),
    vport: 80,
    dport: 80,
    destination: destinationAt(server, 80, 'tunnel'),
    method: 'tunnel',
  };
  tunnel.request(request, connection, context);
  const error = errorAbout(host.sent.splice(0)[0]!.octets, answer);
  const quoted = new Packet();
  const inner = new Packet();
  quoted.decodeQuoted(error.frame, error.payload, error.end);
  if (!decodeTunnelled(quoted, inner)) throw new Error('quotes no tunnel packet');
  const bound = { ...connection, destination: destinationAt(answer.boundTo ?? server, 80, 'tunnel') };
  const verdict = isSentTo(bound.destination, quoted)
    ? answerTunnelError(error, quoted, inner, bound, context)
    : 'pass';
  const sent = host.sent.map(({ octets }) => {
    const packet = decoded(octets);
    const mtu =
      packet.version === 4
        ? icmp.nextHopMtu(packet.frame, packet.transport)
        : icmp6.mtu(packet.frame, packet.transport);
    const [from, to] = [formatAddress(packet.src), formatAddress(packet.dst)];
    return { from, to, type: packet.icmpType, code: packet.icmpCode, mtu };
  });
  return { verdict, sent, mtu: paths.route(address(server))?.mtu };
}

/** The router's error about a tunnel packet. */
function errorAbout(
  octets: Uint8Array,
  { type, code, rest, damaged = false, isForged = false }: Answer,
): Packet {
  const outer = decoded(octets);
  const frame = new Frame();
  const v4 = outer.version === 4;
  const message = HEADROOM + (v4 ? 20 : 40);
  const quoted = octets.subarray(0, 200);
  frame.end = message + 8 + quoted.length;
  frame.bytes.set(quoted, message + 8);
  if (isForged) frame.bytes[message + 8 + (v4 ? 15 : 23)]! ^= 1;
  const router = address(v4 ? '10.1.0.99' : 'fd01::99');
  const ends = { src: router, dst: outer.src };
  icmp.write(frame, message, type, code, rest);
  if (v4) {
    ipv4.write(frame, HEADROOM, { totalLength: frame.length, id: 1, ttl: 64, protocol: ICMP, ...ends });
    icmp.recompute(frame, message, frame.end);
  } else {
    const payloadLength = frame.end - message;
    ipv6.write(frame, HEADROOM, { payloadLength, nextHeader: ICMP6, hopLimit: 64, ...ends });
    icmp6.recompute(frame, message, frame.end, router, outer.src);
  }
  if (damaged) frame.bytes[frame.end - 1]! ^= 1;
  return decoded(frame.copy());
}
