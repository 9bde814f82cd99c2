/** The host that the director of a recording ran on: its addresses, routes, own stack and forwarding, around our director. */
import { Director } from '../../src/director/director.ts';
import { Reassembler } from '../../src/director/path/fragments.ts';
import {
  enterHopByHop,
  enterOptions,
  hasHopByHop,
  hasOptions,
} from '../../src/director/path/header-options.ts';
import { enterHop, sendOn } from '../../src/forwarding/hop.ts';
import {
  sendError,
  sendHostUnreachable,
  sendReassemblyTimeout,
  sendTooBig,
} from '../../src/forwarding/icmp.ts';
import type { ForwardingContext, Host, Route } from '../../src/forwarding/method.ts';
import type { SyncDaemon } from '../../src/model/command.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { Synchronization, type SyncTransport } from '../../src/sync/synchronization.ts';
import {
  type Address,
  formatAddress,
  isV4,
  maskAddress,
  parseAddress,
  prefixMask,
  sameAddress,
} from '../../src/wire/address.ts';
import { Frame } from '../../src/wire/frame.ts';
import { PARAMETER_PROBLEM6 } from '../../src/wire/icmp6.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { ipv6 } from '../../src/wire/ipv6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { ACK, RST, SYN, TCP, tcp } from '../../src/wire/tcp.ts';
import { seeded } from '../support/directed.ts';
import type { GoldenTopology } from '../support/golden.ts';
import { treatExtensions } from '../support/host-extensions.ts';
import { answerAsHost } from '../support/host-stack.ts';
import type { Arrival } from './arrival.ts';
import { dissect } from './dissect.ts';
import { checksum, IpWriter, tcpSegment, uint } from './octets.ts';

/** The director's own addresses: on the clients' side, and on the servers'. */
const OWN = { client4: '10.0.0.1', server4: '10.1.0.1', client6: 'fd00::1', server6: 'fd01::1' };
/** MTU of the loopback interface, octets. */
const LOOPBACK_MTU = 65_536;
const DEFAULT_MTU = 1500;
/** ms between two ticks of the recorded kernel's estimator: 2 s on a timer wheel whose slots are 80 ms wide there. */
export const ESTIMATOR_PERIOD = 2080;
/** ms: timers of the recorded kernel run out at multiples of it. */
const JIFFY = 10;
/** ms between two calls of `expire` in a short sleep, and in a long one. */
const TICK = 100;
const LONG_TICK = 1000;
const LONG_SLEEP = 60_000;

/** A message of a sync daemon. */
export interface SyncMessage {
  readonly group: string;
  readonly port: number;
  readonly ttl: number;
  /** In hexadecimal. */
  readonly payload: string;
}

interface Prefix {
  readonly network: Address;
  readonly mask: Address;
}

function prefix(text: string): Prefix {
  const [literal, bits] = text.split('/');
  const address = parseAddress(literal!)!;
  const v4 = isV4(address);
  const mask = prefixMask(v4 ? 4 : 6, Number(bits ?? (v4 ? 32 : 128)));
  return { network: maskAddress(address, mask, new Uint32Array(4)), mask };
}

const scratch = new Uint32Array(4);
const isIn = ({ network, mask }: Prefix, address: Address): boolean =>
  sameAddress(maskAddress(address, mask, scratch), network);

const SERVER_LANS = [prefix('10.1.0.0/24'), prefix('fd01::/64')];
const SERVERS_BROADCAST = parseAddress('10.1.0.255')!;
const LINK_LOCAL = prefix('fe80::/10');
const IGMP = 2;
/** ms that a host waits for an answer to its ARP requests, three of them. */
const ARP_WAIT = 3000;

export class World implements Host {
  readonly director: Director;
  /** Messages that the master sent. */
  readonly syncMessages: SyncMessage[] = [];
  /** The other director on the network of the sync daemons. */
  syncPeer: World | undefined;
  readonly #sync: Synchronization;
  readonly #daemons = new Map<SyncDaemon['role'], { readonly daemon: SyncDaemon; readonly ports: number }>();
  readonly #topology: GoldenTopology;
  readonly #local: Prefix[];
  readonly #unreachable: Prefix[] = [];
  readonly #listening = new Set<number>();
  readonly #reassembler = new Reassembler();
  readonly #packet = new Packet();
  readonly #context: ForwardingContext;
  /** ms: when an ARP request for an address was sent last. */
  readonly #asked = new Map<string, number>();
  #arrivals: Arrival[] = [];
  #now: number;
  #id = 0x8000;
  #keepsFragments = false;

  /**
   * `start`: ms of the clock when the scenario begins, a period of the estimator or more;
   * `lead`: ms before that in which the estimator's ticks began.
   */
  constructor(topology: GoldenTopology, start: number, lead: number) {
    this.#topology = topology;
    const vips = topology.vips ?? ['10.9.0.1', '10.9.0.2', '10.9.0.3', '10.9.0.4'];
    const vips6 = topology.vips6 ?? ['fd09::1', 'fd09::2'];
    const nets = topology.localnets ?? ['10.8.0.0/16'];
    this.#local = [...Object.values(OWN), ...vips, ...vips6, ...nets, '127.0.0.0/8', '::1'].map(prefix);
    this.#now = start;
    this.director = new Director({
      host: this,
      random: seeded(1),
      maxConnections: 1 << 16,
      estimatorPeriod: ESTIMATOR_PERIOD,
      // The recorded kernel had icmp_ratelimit 0.
      limitErrors: false,
    });
    const transport: SyncTransport = {
      open: (daemon, ports) => this.#daemons.set(daemon.role, { daemon, ports }),
      close: (role) => this.#daemons.delete(role),
      send: (port, message) => {
        const { group, port: first, ttl } = this.#daemons.get('master')!.daemon;
        const payload = Buffer.from(message).toString('hex');
        this.syncMessages.push({ group: group!, port: first! + port, ttl: ttl!, payload });
        this.syncPeer?.advance(this.#now);
        this.syncPeer?.receiveSync(group!, first! + port, Buffer.from(message));
        return true;
      },
    };
    // Recorded kernels have no keys.
    this.#sync = new Synchronization({
      core: this.director.context,
      transport,
      wallClock: () => 0,
      sender: new Uint8Array(8),
    });
    this.director.context.sync.attach(this.#sync);
    this.#context = { host: this, settings: DEFAULT_SETTINGS, nextId: () => ++this.#id & 0xffff };
    this.director.expire(start - lead);
    this.director.expire(start);
  }

  get now(): number {
    return this.#now;
  }

  /** Lets time pass until `now`, ms; returns what was sent meanwhile. */
  advance(now: number): Arrival[] {
    const tick = now - this.#now > LONG_SLEEP ? LONG_TICK : TICK;
    while (this.#now < now) {
      const before = Math.floor(this.#now / JIFFY);
      this.#now = Math.min(now, this.#now + tick);
      if (Math.floor(this.#now / JIFFY) === before) continue;
      this.director.expire(this.#now);
      this.#reassembler.expire(this.#now, (first) => {
        if (this.#packet.decode(first)) sendReassemblyTimeout(this.#packet, this.#packet.dst, this.#context);
      });
    }
    return this.#take();
  }

  /** Removes the routes to these addresses. */
  forbid(addresses: string): void {
    this.#unreachable.push(prefix(addresses));
  }

  /** Makes the host wait for fragments longer than any recording lasts, so that it sends no error. */
  keepFragments(): void {
    this.#keepsFragments = true;
  }

  /** From now on a program on the host accepts TCP connections to the port. */
  listen(port: number): void {
    this.#listening.add(port);
  }

  /** A message of another director arrives on the network of the sync daemons. */
  receiveSync(group: string, port: number, message: Buffer): void {
    const backup = this.#daemons.get('backup');
    if (backup === undefined || backup.daemon.group !== group) return;
    const offset = port - backup.daemon.port!;
    if (offset >= 0 && offset < backup.ports) this.#sync.receive(message, this.#now);
  }

  /** A packet arrives at the host; returns all that leaves it in consequence. */
  receive(octets: Buffer): Arrival[] {
    if (isAcceptable(octets)) {
      const frame = new Frame();
      frame.load(octets, this.#now);
      this.#pastDirector(frame);
    }
    return this.#take();
  }

  #take(): Arrival[] {
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    // The recorder emptied the clients' wire first.
    return [...arrivals.filter(({ at }) => at === 'client'), ...arrivals.filter(({ at }) => at !== 'client')];
  }

  #pastDirector(frame: Frame): void {
    const original = frame.copy();
    if (this.director.handle(frame, this.#now) !== 'pass') return;
    const packet = this.#packet;
    // The director hands on whole datagrams, and fragments that are none of its business.
    const isDecoded = packet.decode(this.director.subject);
    if (!isDecoded && packet.error !== 'bad-extension-header') return;
    if (this.#refusesExtensions(packet) || !isDecoded) return;
    if (hasHopByHop(packet) && enterHopByHop(packet, this.#context) !== undefined) return;
    if (isFragment(packet) && this.isLocal(packet.dst)) {
      const whole = this.#reassembler.add(packet, this.#now);
      if (typeof whole === 'string' || !packet.decode(whole)) return;
    }
    if (!this.isLocal(packet.dst)) {
      if (!this.#refusesOptions(packet)) this.#routeOn(packet);
    } else if (packet.frame === frame && hasOptions(packet)) this.#deliverWithOptions(original);
    else this.#deliver(packet.frame);
  }

  /** Answers, or drops, what has extension headers that the host's own stack does not take. */
  #refusesExtensions(packet: Packet): boolean {
    if (ipv4.version(packet.frame, packet.network) !== 6 || !this.isLocal(packet.dst)) return false;
    const treatment = treatExtensions(packet.frame);
    if (treatment === undefined) return false;
    const { code, pointer } = treatment === 'discard' ? { code: -1, pointer: 0 } : treatment;
    if (code >= 0) sendError(packet, PARAMETER_PROBLEM6, code, pointer, packet.dst, this.#context);
    return true;
  }

  /** Refuses a packet for another host because of its IPv4 options. Leaves the packet as it is. */
  #refusesOptions(packet: Packet): boolean {
    if (!hasOptions(packet)) return false;
    const copy = new Frame();
    copy.load(packet.frame.copy(), this.#now);
    const examined = new Packet();
    if (!examined.decode(copy)) return true;
    return enterOptions(examined, this.route(packet.src)!.source, this.#context) !== undefined;
  }

  /** The host's own stack enters itself into the options, and quotes the header without correcting its checksum. */
  #deliverWithOptions(octets: Uint8Array): void {
    const frame = new Frame();
    frame.load(octets, this.#now);
    const packet = new Packet();
    if (!packet.decode(frame)) return;
    if (enterOptions(packet, packet.dst, this.#context) === undefined) this.#deliver(frame);
  }

  /** Hands a packet to the host's own stack. */
  #deliver(frame: Frame): void {
    const packet = new Packet();
    if (packet.decode(frame) && !this.#accept(packet))
      answerAsHost(packet, { ...this.#context, host: this.#ownStack });
  }

  /** What the host's own stack sends passes through the director, too: it may be a local destination's reply. */
  readonly #ownStack: Host = {
    transmit: (frame, nextHop) => {
      const own = new Frame();
      own.load(frame.copy(), this.#now);
      // The director takes a hop off a reply; one that was born here has not made that hop.
      if (ipv4.version(own, own.start) === 4) ipv4.setTtl(own, own.start, ipv4.ttl(own, own.start) + 1);
      else ipv6.setHopLimit(own, own.start, ipv6.hopLimit(own, own.start) + 1);
      if (this.director.handle(own, this.#now) === 'pass') this.transmit(frame, nextHop);
      return true;
    },
    route: (to) => this.route(to),
    isLocal: (address) => this.isLocal(address),
  };

  /** Sends the SYN+ACK of a listening program; false if no program listens. */
  #accept(packet: Packet): boolean {
    if (packet.protocol !== TCP || !this.#listening.has(packet.dstPort)) return false;
    if ((packet.tcpFlags & (SYN | ACK | RST)) !== SYN) return true;
    const from = { address: formatAddress(packet.dst), port: packet.dstPort };
    const to = { address: formatAddress(packet.src), port: packet.srcPort };
    const acknowledgement = tcp.sequence(packet.frame, packet.transport) + 1;
    const mss = uint(1, 2, 1, 4, 2, this.#topology.mtu ?? 1460);
    const segment = tcpSegment(from, to, SYN | ACK, this.#now, acknowledgement, Buffer.alloc(0), mss);
    const answer = new Frame();
    answer.load(new IpWriter().packet(from.address, to.address, TCP, segment, { ipid: 0 }));
    this.#ownStack.transmit(answer, packet.src);
    return true;
  }

  #routeOn(packet: Packet): void {
    const route = this.route(packet.dst);
    const source = this.route(packet.src)!.source;
    if (!route) sendHostUnreachable(packet, source, this.#context);
    else if (packet.dontFragment && packet.ttl > 1 && packet.end - packet.network > route.mtu)
      sendTooBig(packet, route.mtu, source, this.#context);
    else if (enterHop(packet, route.mtu, false, source, this.#context) === undefined)
      sendOn(packet.frame, packet.dst, route.mtu, this.#context);
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    if (this.isLocal(nextHop)) this.#deliver(frame);
    else this.#emit(frame, nextHop);
    return true;
  }

  #emit(frame: Frame, nextHop: Address): void {
    const octets = Buffer.from(frame.copy());
    if (this.#keepsFragments && isReassemblyTimeout(octets)) return;
    // The recorder did not record group membership messages, whatever their sender.
    if (octets[ipv4.version(frame, frame.start) === 4 ? 9 : 6] === IGMP) return;
    // Nothing is known of a link-local neighbor.
    if (isIn(LINK_LOCAL, nextHop)) return;
    if (!SERVER_LANS.some((lan) => isIn(lan, nextHop))) this.#arrivals.push({ at: 'client', octets });
    else if (sameAddress(nextHop, SERVERS_BROADCAST))
      this.#arrivals.push({ at: 'ff:ff:ff:ff:ff:ff', octets });
    else {
      const number = serverNumber(nextHop);
      if (number >= 1 && number <= (this.#topology.rs ?? 3))
        this.#arrivals.push({ at: `rs${number}`, octets });
      else if (isV4(nextHop)) this.#askFor(nextHop, ipv4.src(frame, frame.start));
    }
  }

  /** Sends an ARP request from the packet's source, where that is local, as long as no other one waits. */
  #askFor(address: Address, packetSource: number): void {
    const key = formatAddress(address);
    if (this.#now - (this.#asked.get(key) ?? Number.NEGATIVE_INFINITY) < ARP_WAIT) return;
    this.#asked.set(key, this.#now);
    const own = Uint32Array.of(0, 0, 0xffff, packetSource);
    const source = this.isLocal(own) ? own : parseAddress(OWN.server4)!;
    this.#arrivals.push({ at: 'rlanp', remark: `arp ${arpRequest(source, address)}` });
  }

  route(to: Address): Route | undefined {
    if (this.#unreachable.some((one) => isIn(one, to))) return undefined;
    if (this.isLocal(to)) return { mtu: LOOPBACK_MTU, source: to };
    const mtu = this.#topology.mtu ?? DEFAULT_MTU;
    const v4 = isV4(to);
    if (SERVER_LANS.some((lan) => isIn(lan, to)))
      return {
        mtu: this.#topology.rlan_mtu ?? mtu,
        source: parseAddress(v4 ? OWN.server4 : OWN.server6)!,
      };
    return { mtu, source: parseAddress(v4 ? OWN.client4 : OWN.client6)! };
  }

  timeOfDay(): number {
    return this.#now;
  }

  isLocal(address: Address): boolean {
    return this.#local.some((one) => isIn(one, address));
  }
}

const isFragment = ({ moreFragments, fragmentOffset, fragmentHeader }: Packet): boolean =>
  moreFragments || fragmentOffset > 0 || fragmentHeader > 0;

function isReassemblyTimeout(octets: Buffer): boolean {
  const it = dissect(octets);
  return it !== undefined && it.code === 1 && it.type === (it.version === 4 ? 11 : 3);
}

/** Real server i is 10.1.0.(10+i), or fd01:: with 10+i written in decimal. */
function serverNumber(address: Address): number {
  const last = formatAddress(address).split(/[.:]/).at(-1)!;
  return /^\d+$/.test(last) ? Number(last) - 10 : 0;
}

/** The request that the host sends for a neighbor that does not answer. */
const arpRequest = (source: Address, address: Address): string =>
  `0001080006040001020000000002${hex(source)}000000000000${hex(address)}`;

const hex = (address: Address): string => (address[3]! >>> 0).toString(16).padStart(8, '0');

/** What a host takes in at all: an IPv4 header with a right checksum, and as many octets as it says. */
function isAcceptable(octets: Buffer): boolean {
  const version = octets.length > 0 ? octets[0]! >> 4 : 0;
  if (version === 6) return octets.length >= 40 && octets.readUInt16BE(4) + 40 <= octets.length;
  if (version !== 4 || octets.length < 20) return false;
  const headerLength = (octets[0]! & 15) * 4;
  if (headerLength < 20 || headerLength > octets.length) return false;
  return octets.readUInt16BE(2) <= octets.length && checksum(octets.subarray(0, headerLength)) === 0;
}
