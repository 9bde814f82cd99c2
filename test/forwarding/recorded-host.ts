/** A little director without state machines: it plays recorded exchanges through the forwarding methods alone. */
import { Reassembler } from '../../src/director/path/fragments.ts';
import { sendReassemblyTimeout } from '../../src/forwarding/icmp.ts';
import { forwardingMethods } from '../../src/forwarding/index.ts';
import type { ForwardingContext, Host } from '../../src/forwarding/method.ts';
import { PathMtuHost } from '../../src/forwarding/path-mtu.ts';
import { forwardRelated, replyRelated } from '../../src/forwarding/related.ts';
import { answerTunnelError, decodeTunnelled } from '../../src/forwarding/tunnel-error.ts';
import type { Connection } from '../../src/model/connection.ts';
import type { Destination, ForwardingMethodName, TunnelOptions } from '../../src/model/destination.ts';
import { DEFAULT_SETTINGS, type SettingName, type Settings } from '../../src/model/settings.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import { type Address, isV4, parseAddress, sameAddress } from '../../src/wire/address.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ICMP } from '../../src/wire/icmp.ts';
import { ICMP6 } from '../../src/wire/icmp6.ts';
import { Packet } from '../../src/wire/packet.ts';
import { SCTP } from '../../src/wire/sctp.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { UDP } from '../../src/wire/udp.ts';

export const address = (text: string): Address => {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
};

/** What a destination is for a forwarding method. */
export function destinationAt(
  text: string,
  port: number,
  method: ForwardingMethodName,
  tunnel: TunnelOptions = { type: 'ipip', port: 0, checksum: 'none' },
): Destination {
  return {
    address: address(text),
    port,
    method,
    tunnel,
    weight: 1,
    lastWeight: 1,
    activeConnections: 0,
    inactiveConnections: 0,
    persistentConnections: 0,
    overloaded: false,
    counters: new Float64Array(5),
  };
}

interface Service {
  readonly protocol: number;
  readonly vaddr: Address;
  readonly vport: number;
  destination?: Destination;
}

const PROTOCOLS: Readonly<Record<string, number>> = { '-t': TCP, '-u': UDP, '--sctp-service': SCTP };

function endpoint(text: string): [Address, number] {
  const bracketed = /^\[(.*)\](?::(\d+))?$/.exec(text);
  if (bracketed) return [address(bracketed[1]!), Number(bracketed[2] ?? 0)];
  const parts = text.split(':');
  return parts.length === 2 ? [address(parts[0]!), Number(parts[1])] : [address(text), 0];
}

/** The recordings' host: real servers are in 10.1.0.0/24 and fd01::/64, clients anywhere else. */
export class RecordedHost implements Host {
  readonly sent: { readonly octets: Uint8Array; readonly nextHop: Address }[] = [];
  readonly #clientMtu: number;
  readonly #serverMtu: number;

  constructor(clientMtu = 1500, serverMtu = clientMtu) {
    this.#clientMtu = clientMtu;
    this.#serverMtu = serverMtu;
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    this.sent.push({ octets: frame.copy(), nextHop: nextHop.slice() });
    return true;
  }
  route(to: Address) {
    const server = this.isServer(to);
    if (isV4(to) ? to[3]! >>> 16 === 0x0a05 : to[0] === 0xfd050000) return undefined;
    const source = server ? (isV4(to) ? '10.1.0.1' : 'fd01::1') : isV4(to) ? '10.0.0.1' : 'fd00::1';
    return { mtu: server ? this.#serverMtu : this.#clientMtu, source: address(source) };
  }
  isLocal(): boolean {
    return false;
  }
  isServer(to: Address): boolean {
    return isV4(to) ? to[3]! >>> 8 === 0x0a0100 : to[0] === 0xfd010000;
  }
}

export class RecordedDirector {
  readonly host: RecordedHost;
  readonly #context: ForwardingContext;
  readonly #settings: Settings = { ...DEFAULT_SETTINGS };
  readonly #services: Service[] = [];
  readonly #connections: Connection[] = [];
  readonly #reassembler = new Reassembler();
  readonly #frame = new Frame();
  readonly #packet = new Packet();
  readonly #quoted = new Packet();
  readonly #inner = new Packet();
  #now = 0;

  constructor(clientMtu: number, serverMtu: number) {
    this.host = new RecordedHost(clientMtu, serverMtu);
    let id = 0x7000;
    this.#context = {
      host: new PathMtuHost(this.host),
      settings: this.#settings,
      nextId: () => id++,
    };
  }

  /** `ipvsadm -A`, `ipvsadm -a`, `sysctl` and `sleep` as recorded; other commands change nothing here. */
  command(line: string): void {
    const words = line.split(' ');
    const after = (word: string) => words[words.indexOf(word) + 1]!;
    const sleep = /^sleep (\d+)$/.exec(line);
    if (sleep) this.#wait(Number(sleep[1]) * 1000);
    const setting = /^sysctl net\.ipv4\.vs\.(\w+)=(\d+)$/.exec(line);
    if (setting) this.#settings[setting[1] as SettingName] = Number(setting[2]);
    if (words[0] !== 'ipvsadm' || (words[1] !== '-A' && words[1] !== '-a')) return;
    const [vaddr, vport] = endpoint(words[3]!);
    const protocol = PROTOCOLS[words[2]!] ?? 0;
    if (words[1] === '-A') {
      this.#services.push({ protocol, vaddr, vport });
      return;
    }
    const service = this.#services.find(
      (known) => known.protocol === protocol && known.vport === vport && sameAddress(known.vaddr, vaddr),
    )!;
    const [daddr, dport] = endpoint(after('-r'));
    const tunnel: TunnelOptions = {
      type: line.includes(' gue') ? 'gue' : line.includes(' gre') ? 'gre' : 'ipip',
      port: line.includes('--tun-port') ? Number(after('--tun-port')) : 0,
      checksum: line.includes('--tun-csum') ? 'csum' : line.includes('--tun-remcsum') ? 'remcsum' : 'none',
    };
    const method = words.includes('-m') ? 'nat' : words.includes('-i') ? 'tunnel' : 'dr';
    const port = method === 'nat' ? dport || vport : vport;
    service.destination = {
      ...destinationAt('0.0.0.0', port, method, tunnel),
      address: daddr,
    };
  }

  /** Lets `ms` pass. */
  #wait(ms: number): void {
    this.#now += ms;
    this.#reassembler.expire(this.#now, (first) => {
      if (this.#packet.decode(first)) sendReassemblyTimeout(this.#packet, this.#packet.dst, this.#context);
    });
  }

  /** Receives one packet. `fromServer`: from the side of the real servers. */
  hear(octets: Uint8Array, fromServer: boolean): Verdict {
    this.#frame.load(octets);
    const packet = this.#packet;
    if (!packet.decode(this.#frame)) return 'malformed';
    if (packet.moreFragments || packet.fragmentOffset > 0) {
      const whole = this.#reassembler.add(packet, this.#now);
      if (typeof whole === 'string') return whole;
      packet.decode(whole);
    }
    if (packet.protocol === ICMP || packet.protocol === ICMP6) return this.#icmp(packet, fromServer);
    const context = this.#context;
    if (fromServer) {
      const connection = this.#connections.find(
        (known) =>
          known.protocol === packet.protocol &&
          known.dport === packet.srcPort &&
          known.cport === packet.dstPort &&
          sameAddress(known.destination.address, packet.src) &&
          sameAddress(known.caddr, packet.dst),
      );
      if (connection === undefined) return 'no-connection';
      return forwardingMethods[connection.method].reply?.(packet, connection, context) ?? 'pass';
    }
    const connection = this.#connectionOf(packet);
    if (connection === undefined) return 'pass';
    return forwardingMethods[connection.method].request(packet, connection, context);
  }

  #icmp(packet: Packet, fromServer: boolean): Verdict {
    const quoted = this.#quoted;
    if (!quoted.decodeQuoted(packet.frame, packet.transport + 8, packet.end)) return 'pass';
    if (!fromServer) {
      const connection = this.#known(quoted.protocol, quoted.dst, quoted.dstPort, quoted.src, quoted.srcPort);
      return connection === undefined
        ? 'icmp-unrelated'
        : forwardRelated(packet, quoted, connection, this.#context);
    }
    const inner = this.#inner;
    if (decodeTunnelled(quoted, inner)) {
      const connection = this.#known(inner.protocol, inner.src, inner.srcPort, inner.dst, inner.dstPort);
      if (connection === undefined) return 'icmp-unrelated';
      return answerTunnelError(packet, quoted, inner, connection, this.#context);
    }
    const connection = this.#connections.find(
      (known) =>
        known.protocol === quoted.protocol &&
        known.dport === quoted.dstPort &&
        known.cport === quoted.srcPort &&
        sameAddress(known.destination.address, quoted.dst) &&
        sameAddress(known.caddr, quoted.src),
    );
    return connection === undefined
      ? 'icmp-unrelated'
      : replyRelated(packet, quoted, connection, this.#context);
  }

  #known(protocol: number, caddr: Address, cport: number, vaddr: Address, vport: number) {
    return this.#connections.find(
      (known) =>
        known.protocol === protocol &&
        known.cport === cport &&
        known.vport === vport &&
        sameAddress(known.caddr, caddr) &&
        sameAddress(known.vaddr, vaddr),
    );
  }

  #connectionOf(packet: Packet): Connection | undefined {
    const known = this.#known(packet.protocol, packet.src, packet.srcPort, packet.dst, packet.dstPort);
    if (known !== undefined) return known;
    const service = this.#services.find(
      (one) =>
        one.protocol === packet.protocol &&
        one.vport === packet.dstPort &&
        sameAddress(one.vaddr, packet.dst),
    );
    if (service?.destination === undefined) return undefined;
    const connection: Connection = {
      row: this.#connections.length,
      protocol: packet.protocol,
      caddr: packet.src.slice(),
      cport: packet.srcPort,
      vaddr: service.vaddr,
      vport: service.vport,
      dport: service.destination.port,
      destination: service.destination,
      method: service.destination.method,
    };
    this.#connections.push(connection);
    return connection;
  }
}
