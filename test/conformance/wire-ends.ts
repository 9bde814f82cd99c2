/** The clients and real servers of a recording: what they send at each step, and what they remember of their flows. */
import { type Arrival, pickOf, type Wire } from './arrival.ts';
import { type Dissection, dissect } from './dissect.ts';
import {
  type Endpoint,
  endpoint,
  formatEndpoint,
  IpWriter,
  icmpMessage,
  isV6,
  laterAddress,
  sctpPacket,
  tcpSegment,
  udpDatagram,
  uint,
} from './octets.ts';
import { SCTP_CHUNKS } from './sctp-chunks.ts';
import { integer, ipOptions, maximumSegment, payload, type Words } from './words.ts';

type Options = Readonly<Record<string, string>>;

/** What an end knows of a flow. */
interface Flow {
  clientSequence: number;
  serverSequence: number;
  /** What the real server saw of it last. */
  seen?: {
    readonly at: string;
    readonly source: Endpoint;
    readonly destination: Endpoint;
    readonly tunnelled: boolean;
    readonly octets: Buffer;
  };
}

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };
const TUNNELS = [4, 41, 47, UDP];
const NO_SERVER: Arrival[] = [{ at: 'oracle', remark: 'no real server known for the flow' }];
const bypasses = (server: string): Arrival[] => [
  {
    at: 'oracle',
    remark: `reply goes straight from ${server} to the client (DR/TUN), not through the director`,
  },
];

const orText = (octets: Buffer, text: string): Buffer => (octets.length > 0 ? octets : Buffer.from(text));

const bits = (flags: string): number => [...flags].reduce((all, flag) => all + FLAGS[flag]!, 0);

const isTranslated = ({ seen }: Flow, dst: string): boolean =>
  !seen!.tunnelled && !sameEndpoint(seen!.destination, endpoint(dst));

const sameEndpoint = (a: Endpoint, b: Endpoint): boolean => a.address === b.address && a.port === b.port;

export interface Bulk {
  readonly picks: readonly string[];
  readonly pick_counts?: Readonly<Record<string, number>>;
}

const ICMP6 = 58;
/** Types of ICMPv6 errors (RFC 4443). */
const MAX_ERROR6 = 4;
/** The director's own addresses, IPv6. */
const OWN6 = ['fd000000000000000000000000000001', 'fd010000000000000000000000000001'];

/** Prefix of the real servers' addresses, IPv6, in hexadecimal. */
const SERVERS6 = 'fd01';
const QUOTED = 48;

/**
 * Linux 6.1 misjudges the checksum of ICMPv6 errors about translated packets, and makes nothing of those about its
 * tunnels: neither is to be copied, so one with a wrong checksum stands for what it did not take. Other errors stay as they are.
 */
function misjudged(sender: string, octets: Buffer): Buffer {
  const isError =
    octets.length >= QUOTED + 40 &&
    octets[0]! >> 4 === 6 &&
    octets[6] === ICMP6 &&
    octets[40]! <= MAX_ERROR6 &&
    octets[QUOTED]! >> 4 === 6;
  if (!isError) return octets;
  const [source, destination] = [QUOTED + 8, QUOTED + 24].map((at) => octets.toString('hex', at, at + 16));
  const isAboutTunnel = OWN6.includes(source!);
  const isAboutTranslated = sender !== 'client' && destination!.startsWith(SERVERS6);
  if (isAboutTunnel || isAboutTranslated) octets[42] = octets[42]! ^ 1;
  return octets;
}

/** Steps of a kind each; a recording's ends live as long as it plays. */
export class WireEnds {
  readonly #wire: Wire;
  readonly #ip = new IpWriter();
  readonly #flows = new Map<string, Flow>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** The recorder took an identification for a packet that is none of these. */
  skipIdentification(): void {
    this.#ip.id++;
  }

  /** Plays a step of packets; undefined: no step of packets. `wasTaken`: something arrived when it was recorded. */
  step(word: string, { positions, options }: Words, wasTaken = true): Arrival[] | undefined {
    const [src = '', dst = '', third = ''] = positions;
    const client = (flags: string, data?: Buffer) => this.#clientTcp(src, dst, flags, options, data);
    const server = (flags: string, data?: Buffer) => this.#serverTcp(src, dst, flags, options, data);
    switch (word) {
      case 'tcp':
        return client(third, payload(options));
      case 'rtcp':
        return server(third, payload(options));
      case 'syn':
        return client('S');
      case 'connect':
        return [...client('S'), ...server('SA'), ...client('A')];
      case 'data':
        return client('PA', orText(payload(options), 'hello'));
      case 'rdata':
        return server('PA', orText(payload(options), 'world'));
      case 'close':
        return [...client('FA'), ...server('FA'), ...client('A')];
      case 'sclose':
        return [...server('FA'), ...client('FA'), ...server('A')];
      case 'udp':
        return this.#clientUdp(src, dst, options);
      case 'rudp':
        return this.#serverUdp(src, dst, options);
      case 'sctp':
        return this.#sctp(src, dst, third, options, false);
      case 'rsctp':
        return this.#sctp(src, dst, third, options, true);
      case 'echo':
        return this.#echo(src, dst, options);
      case 'ricmp':
        return this.#serverError(dst, third, src === 'udp' ? UDP : TCP, options, wasTaken);
      case 'cicmp':
        return this.#clientError(dst, third, src === 'udp' ? UDP : TCP, options);
      case 'raw':
        return this.#wire(src, wasTaken ? Buffer.from(dst, 'hex') : misjudged(src, Buffer.from(dst, 'hex')));
      default:
        return undefined;
    }
  }

  /** Many flows, one after the other; undefined: no such step. `before`: what happens before each, of so many. */
  bulk(word: string, options: Options, before?: (flow: number, count: number) => void): Bulk | undefined {
    if (!['syns', 'connects', 'conncloses', 'udps'].includes(word)) return undefined;
    const count = integer(options['n'], 0);
    const inc = integer(options['inc'], 1);
    const step = options['step'] ?? 'port';
    const { src, dst } = options;
    if (src === undefined || dst === undefined) throw new Error(`${word} needs src= and dst=`);
    const first = endpoint(src);
    const targets = dst.split(',');
    const picks: string[] = [];
    for (let i = 0; i < count; i++) {
      before?.(i, count);
      const moves = step === 'ip' || step === 'both';
      const address = moves ? laterAddress(first.address, i * inc) : first.address;
      const port = step === 'port' ? first.port + i * inc : step === 'both' ? first.port + i : first.port;
      picks.push(
        pickOf(
          this.#oneOfMany(word, formatEndpoint({ address, port }), targets[i % targets.length]!, options),
        ),
      );
    }
    if (count <= 300) return { picks };
    const counts: Record<string, number> = {};
    for (const pick of picks) counts[pick] = (counts[pick] ?? 0) + 1;
    return { picks: picks.slice(0, 40), pick_counts: counts };
  }

  #oneOfMany(word: string, src: string, dst: string, options: Options): Arrival[] {
    if (word === 'udps') return this.#clientUdp(src, dst, options);
    const arrivals = this.#clientTcp(src, dst, 'S', options);
    if (word === 'syns') return arrivals;
    this.#serverTcp(src, dst, 'SA', {});
    this.#clientTcp(src, dst, 'A', {});
    if (word === 'connects') return arrivals;
    this.#clientTcp(src, dst, 'FA', {});
    this.#serverTcp(src, dst, 'FA', {});
    this.#clientTcp(src, dst, 'A', {});
    return arrivals;
  }

  #flow(protocol: number, src: string, dst: string): Flow {
    const key = `${protocol} ${src} ${dst}`;
    const known = this.#flows.get(key);
    if (known) return known;
    const flow: Flow = { clientSequence: 1000, serverSequence: 5000 };
    this.#flows.set(key, flow);
    return flow;
  }

  /** Remembers which real server saw the flow, and how it looked there. */
  #note(flow: Flow, arrivals: readonly Arrival[]): void {
    for (const { at, octets } of arrivals) {
      if (!at.startsWith('rs') || !octets) continue;
      const outer = dissect(octets);
      const tunnelled = outer?.inner !== undefined && TUNNELS.includes(outer.protocol);
      const it: Dissection | undefined = tunnelled ? outer.inner : outer;
      if (it?.srcPort === undefined) continue;
      flow.seen = {
        at,
        source: { address: it.src, port: it.srcPort },
        destination: { address: it.dst, port: it.dstPort! },
        tunnelled,
        octets,
      };
      return;
    }
  }

  #clientTcp(
    src: string,
    dst: string,
    flags: string,
    options: Options,
    data: Buffer = Buffer.alloc(0),
  ): Arrival[] {
    const [from, to] = [endpoint(src), endpoint(dst)];
    const flow = this.#flow(TCP, src, dst);
    const [opens, acknowledges] = [flags.includes('S'), flags.includes('A')];
    if (opens && !acknowledges) {
      flow.clientSequence = integer(options['seq'], 1000);
      flow.serverSequence = 5000;
    }
    const acknowledgement = acknowledges ? flow.serverSequence : 0;
    const mss = maximumSegment(options);
    const segment = tcpSegment(from, to, bits(flags), flow.clientSequence, acknowledgement, data, mss);
    flow.clientSequence += data.length + (opens || flags.includes('F') ? 1 : 0);
    const packet = this.#ip.packet(from.address, to.address, TCP, segment, ipOptions(options));
    const arrivals = this.#wire('client', packet);
    this.#note(flow, arrivals);
    return arrivals;
  }

  #serverTcp(
    src: string,
    dst: string,
    flags: string,
    options: Options,
    data: Buffer = Buffer.alloc(0),
  ): Arrival[] {
    const flow = this.#flow(TCP, src, dst);
    const { seen } = flow;
    if (!seen) return NO_SERVER;
    const opens = flags.includes('S');
    if (opens) flow.serverSequence = integer(options['seq'], 5000);
    const acknowledgement = flags.includes('A') ? flow.clientSequence : 0;
    const mss = maximumSegment(options);
    const [from, to] = [seen.destination, seen.source];
    const segment = tcpSegment(from, to, bits(flags), flow.serverSequence, acknowledgement, data, mss);
    flow.serverSequence += data.length + (opens || flags.includes('F') ? 1 : 0);
    if (this.#bypassesDirector(flow, dst, options)) return bypasses(seen.at);
    return this.#wire(seen.at, this.#ip.packet(from.address, to.address, TCP, segment, ipOptions(options)));
  }

  /** Replies pass the director under NAT only: where the server saw another destination than the client sent to. */
  #bypassesDirector(flow: Flow, dst: string, options: Options): boolean {
    return !isTranslated(flow, dst) && integer(options['viadir'], 0) === 0;
  }

  #clientUdp(src: string, dst: string, options: Options): Arrival[] {
    const [from, to] = [endpoint(src), endpoint(dst)];
    const flow = this.#flow(UDP, src, dst);
    const datagram = udpDatagram(from, to, orText(payload(options), 'ping'), 'nocsum' in options);
    const share = integer(options['frag'], 0);
    const arrivals =
      share > 0
        ? this.#fragments(from.address, to.address, datagram, share, options['order'] ?? 'fwd')
        : this.#wire('client', this.#ip.packet(from.address, to.address, UDP, datagram, ipOptions(options)));
    this.#note(flow, arrivals);
    return arrivals;
  }

  #fragments(src: string, dst: string, datagram: Buffer, share: number, order: string): Arrival[] {
    const ipid = ++this.#ip.id;
    const offsets = Array.from({ length: Math.ceil(datagram.length / share) }, (_, i) => i * share);
    if (order !== 'fwd') offsets.reverse();
    return offsets.flatMap((fragmentOffset) => {
      const part = datagram.subarray(fragmentOffset, fragmentOffset + share);
      const moreFragments = fragmentOffset + share < datagram.length ? 1 : 0;
      if (!isV6(src)) {
        const options = { df: 0, ipid, fragmentOffset, moreFragments };
        return this.#wire('client', this.#ip.packet(src, dst, UDP, part, options));
      }
      const header = uint(1, UDP, 1, 0, 2, fragmentOffset | moreFragments, 4, ipid);
      return this.#wire('client', this.#ip.packet(src, dst, 44, Buffer.concat([header, part])));
    });
  }

  #serverUdp(src: string, dst: string, options: Options): Arrival[] {
    const flow = this.#flow(UDP, src, dst);
    const { seen } = flow;
    if (!seen) return NO_SERVER;
    const from = { ...seen.destination, port: integer(options['sport'], seen.destination.port) };
    if (this.#bypassesDirector(flow, dst, options)) return bypasses(seen.at);
    const datagram = udpDatagram(from, seen.source, orText(payload(options), 'pong'));
    const packet = this.#ip.packet(from.address, seen.source.address, UDP, datagram, ipOptions(options));
    return this.#wire(seen.at, packet);
  }

  #sctp(src: string, dst: string, kind: string, options: Options, isReply: boolean): Arrival[] {
    const flow = this.#flow(SCTP, src, dst);
    if (isReply && !flow.seen) return NO_SERVER;
    const chunkOf = SCTP_CHUNKS[kind];
    if (chunkOf === undefined) throw new Error(`no such SCTP chunk: ${kind}`);
    const [type, value] = chunkOf;
    const length = 4 + value.length;
    const chunk = [uint(1, type, 1, type === 0 ? 3 : 0, 2, length), value, Buffer.alloc(-length & 3)];
    const [from, to] = isReply ? [flow.seen!.destination, flow.seen!.source] : [endpoint(src), endpoint(dst)];
    const body = sctpPacket(from, to, type === 1 ? 0 : 0x55667788, Buffer.concat(chunk));
    const packet = this.#ip.packet(from.address, to.address, SCTP, body, ipOptions(options));
    const arrivals = this.#wire(isReply ? flow.seen!.at : 'client', packet);
    if (!isReply) this.#note(flow, arrivals);
    return arrivals;
  }

  #echo(src: string, dst: string, options: Options): Arrival[] {
    const header = uint(
      1,
      isV6(src) ? 128 : 8,
      1,
      0,
      2,
      0,
      2,
      integer(options['id'], 7),
      2,
      integer(options['seq'], 1),
    );
    const message = icmpMessage(src, dst, Buffer.concat([header, orText(payload(options), 'echo')]));
    return this.#wire('client', this.#ip.packet(src, dst, isV6(src) ? 58 : 1, message, ipOptions(options)));
  }

  /** An ICMP error from the servers' side about the last packet of a flow that its real server saw. */
  #serverError(src: string, dst: string, protocol: number, options: Options, wasTaken: boolean): Arrival[] {
    const flow = this.#flow(protocol, src, dst);
    const { seen } = flow;
    if (!seen) throw new Error('no real server saw a packet of the flow');
    const quoted = dissect(seen.octets)!;
    const cut = integer(options['quote'], quoted.version === 4 ? 28 : 1200);
    const from = options['from'] ?? quoted.dst;
    // Linux 6.1 misjudges the checksum of ICMPv6 errors about translated packets: not to be copied, so a right one
    // stands for what it took, and a wrong one for what it did not take.
    const isRight = isV6(from) && isTranslated(flow, dst) ? wasTaken : !('nopseudo' in options);
    return this.#error(seen.at, from, quoted.src, seen.octets.subarray(0, cut), options, isRight);
  }

  /** An ICMP error from the client's side about a packet from the virtual service to the client. */
  #clientError(src: string, dst: string, protocol: number, options: Options): Arrival[] {
    const [client, service] = [endpoint(src), endpoint(dst)];
    const body =
      protocol === TCP
        ? tcpSegment(service, client, FLAGS['A']!, 5001, 1001, Buffer.alloc(0), Buffer.alloc(0))
        : udpDatagram(service, client, Buffer.from('pong'));
    const quoted = this.#ip.packet(service.address, client.address, protocol, body, { ttl: 60 });
    const cut = integer(options['quote'], isV6(client.address) ? 1200 : 28);
    const from = options['from'] ?? client.address;
    return this.#error('client', from, service.address, quoted.subarray(0, cut), options);
  }

  /** `covered`: the checksum of ICMPv6 covers the pseudo header. */
  #error(at: string, from: string, to: string, quoted: Buffer, options: Options, covered = true): Arrival[] {
    const [type, code, rest] = [
      integer(options['type'], 3),
      integer(options['code'], 3),
      integer(options['rest'], 0),
    ];
    const message = icmpMessage(
      from,
      to,
      Buffer.concat([uint(1, type, 1, code, 2, 0, 4, rest), quoted]),
      covered,
    );
    return this.#wire(at, this.#ip.packet(from, to, isV6(from) ? 58 : 1, message, { df: 0 }));
  }
}
