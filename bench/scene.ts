/** A director with one service, and packets of any number of clients. */
import { Director } from '../src/director/director.ts';
import type { Host } from '../src/forwarding/method.ts';
import type { DestinationOptions } from '../src/model/destination.ts';
import { addressFromV4 } from '../src/wire/address.ts';
import { change32, update } from '../src/wire/checksum.ts';
import { Frame } from '../src/wire/frame.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';

export const SERVICE = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
export const DESTINATIONS = ['10.255.0.1', '10.255.0.2', '10.255.0.3', '10.255.0.4'];
const CLIENT_PORTS = 16;
/** Payload of a client's ACK, bytes. */
const PAYLOAD_BYTES = 512;
/* Offsets in an IPv4 packet without options: checksum, source address (RFC 791), source port of TCP (RFC 9293). */
const CHECKSUM = 10;
const SOURCE = 12;
const SOURCE_PORT = 20;
const host: Host = {
  transmit: () => true,
  route: (() => {
    const route = { mtu: 1500, source: addressFromV4(0x0aff00fe) };
    return () => route;
  })(),
  isLocal: (() => {
    const vip = 0xc0000250;
    return (address) => address[3] === vip;
  })(),
};

/** Clients have numbers, and are in networks with a given first byte. */
export class Scene {
  readonly director: Director;
  now = 1000;
  readonly #frame = new Frame();
  readonly #syn = packetOfLine(`20.0.0.0:1024 > ${SERVICE.address}:${SERVICE.port} SYN`);
  readonly #ack = packetOfLine(`20.0.0.0:1024 > ${SERVICE.address}:${SERVICE.port} ACK len=${PAYLOAD_BYTES}`);

  constructor(method: DestinationOptions['method'], limit: number) {
    this.director = new Director({ host, random: () => 0.3, maxConnections: limit });
    this.director.apply({ op: 'add-service', service: SERVICE, options: { scheduler: 'rr' } }, this.now);
    for (const address of DESTINATIONS)
      this.director.apply(
        { op: 'add-destination', service: SERVICE, destination: { address, port: 80 }, options: { method } },
        this.now,
      );
  }

  /** Copies a client's packet into the frame, as a driver does. */
  load(octets: Uint8Array, network: number, connection: number): Frame {
    const frame = this.#frame;
    frame.load(octets);
    const at = frame.start;
    const source = (network << 24) + Math.floor(connection / CLIENT_PORTS);
    update(frame.view, at + CHECKSUM, change32(frame.view.getInt32(at + SOURCE), source));
    frame.view.setInt32(at + SOURCE, source);
    frame.view.setUint16(at + SOURCE_PORT, 1024 + (connection % CLIENT_PORTS));
    return frame;
  }

  open(network: number, connection: number): void {
    const verdict = this.director.handle(this.load(this.#syn, network, connection), this.now);
    if (verdict !== 'forwarded') throw new Error(`a new connection: ${verdict}`);
  }

  go(network: number, connection: number): void {
    const verdict = this.director.handle(this.load(this.#ack, network, connection), this.now);
    if (verdict !== 'forwarded') throw new Error(`a known connection: ${verdict}`);
  }

  /** Copies a packet without handling it: the cost of `go` without the director. */
  loadOnly(network: number, connection: number): void {
    this.load(this.#ack, network, connection);
  }
}
