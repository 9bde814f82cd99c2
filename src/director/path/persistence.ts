/** Persistence templates: which clients share a destination, and for how long. */

import { type FiveTuple, NONE, type Row } from '../../model/connection.ts';
import { FTP_PORT } from '../../model/service.ts';
import { type Address, maskAddress } from '../../wire/address.ts';
import { INVALID_PORT } from '../connection-fields.ts';
import { TEMPLATE } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import type { RealDestination, Service } from '../service.ts';
import type { Arrival } from './arrival.ts';
import { bind } from './connection-lifecycle.ts';
import { callIdOf } from './persistence-sip.ts';

/** Returns the key of a message in bytes [from, to), which related messages share; undefined without one. */
type Engine = (octets: Uint8Array, from: number, to: number, protocol: number) => string | undefined;

/** Persistence engines, by their names for ipvsadm --pe. */
const engines: Readonly<Record<string, Engine>> = { sip: callIdOf };
export const engineNames: readonly string[] = Object.keys(engines);

/**
 * Returns the engine of a template of `service` that has a key. A message of another director may have made one for a service
 * without an engine: it is that of the only engine.
 */
export const engineOf = (service: Service): string => service.options.engine ?? engineNames[0]!;

/** Protocol of templates of marks, which apply to all protocols; ipvsadm prints it as "IP". */
const ANY_PROTOCOL = 0;

/**
 * The template of one arrival. Its endpoints: the client's network with port 0, and
 * - a service of one port: its address and port, the destination's port;
 * - FTP, whose data connections have other ports: its address, ports 0;
 * - a service of all ports: its address, ports 0;
 * - a mark: the mark in place of an address, ports 0, no protocol.
 */
export class Persistence {
  readonly #core: Core;
  readonly #client: Address = new Uint32Array(4);
  readonly #mark: Address = new Uint32Array(4);
  #virtual!: Address;
  #protocol = 0;
  #port = 0;
  #salt = 0;
  #data: string | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Selects the template of that arrival; returns false when the service's engine finds no key in the packet.
   */
  select(service: Service, arrival: Arrival): boolean {
    this.#selectEnds(service, arrival);
    const { engine } = service.options;
    if (engine === undefined) return true;
    const { packet } = arrival;
    // The engine of Linux 6.1 joins the fragments that it reads (ip_vs_sip_fill_param).
    packet.frame.laterFragments = [];
    this.#data = engines[engine]!(packet.frame.bytes, packet.payload, packet.end, arrival.protocol);
    if (this.#data === undefined) return false;
    this.#salt = saltOf(this.#data);
    return true;
  }

  /**
   * Returns the template of a connection to `destination` that has none, as that of another director; NONE without one, and
   * for a service with an engine, whose key is in packets.
   */
  findFor(destination: RealDestination, ends: FiveTuple): Row {
    const { service } = destination;
    if (service.persistence === 0 || service.options.engine !== undefined) return NONE;
    this.#selectEnds(service, ends);
    const { table } = this.#core;
    const row = table.findTemplate(this.#protocol, this.#client, this.#virtual, this.#port);
    return row !== NONE && destinationOf(this.#core, row) === destination ? row : NONE;
  }

  #selectEnds(service: Service, { protocol, caddr, vaddr, vport }: Omit<FiveTuple, 'cport'>): void {
    const isOnePort = vport === service.port;
    maskAddress(caddr, service.mask, this.#client);
    this.#protocol = protocol;
    this.#virtual = vaddr;
    this.#port = isOnePort && service.port !== FTP_PORT ? vport : 0;
    if (!isOnePort && service.mark !== 0) {
      this.#protocol = ANY_PROTOCOL;
      this.#virtual = this.#markAddress(service);
    }
    this.#data = undefined;
    this.#salt = 0;
  }

  /** Returns a mark in the form of a virtual address: 0.0.0.7, or 0:7:: for IPv6. */
  #markAddress(service: Service): Address {
    this.#mark.fill(0);
    this.#mark[service.family === 4 ? 3 : 0] = service.mark;
    if (service.family === 4) this.#mark[2] = 0xffff;
    return this.#mark;
  }

  /**
   * The template if its destination is usable, and is `only` if given. Invalidates a template that
   * does not qualify.
   */
  find(only?: RealDestination): Row {
    const { table, engineData } = this.#core;
    const row =
      this.#data === undefined
        ? table.findTemplate(this.#protocol, this.#client, this.#virtual, this.#port)
        : table.templates(
            this.#protocol,
            this.#client,
            this.#virtual,
            this.#port,
            (found) => engineData.get(found) === this.#data,
            this.#salt,
          );
    if (row === NONE || this.#isUsable(row, only)) return row;
    if (table.vport(row) !== INVALID_PORT) table.invalidateTemplate(row);
    return NONE;
  }

  #isUsable(row: Row, only: RealDestination | undefined): boolean {
    const { settings } = this.#core;
    const destination = destinationOf(this.#core, row);
    if (!destination.available || (only !== undefined && only !== destination)) return false;
    return settings.expire_quiescent_template === 0 || destination.weight !== 0;
  }

  /** Creates a template of that destination; returns NONE when the table is full. */
  create(service: Service, destination: RealDestination): Row {
    const { table, engineData } = this.#core;
    const ends = {
      protocol: this.#protocol,
      caddr: this.#client,
      cport: 0,
      vaddr: this.#virtual,
      vport: this.#port,
    };
    const dport = this.#port === 0 ? 0 : destination.port;
    const row = bind(this.#core, ends, { destination, dport, kind: TEMPLATE, salt: this.#salt });
    if (row === NONE) return NONE;
    table.setTimeout(row, service.persistence);
    if (this.#data !== undefined) engineData.set(row, this.#data);
    return row;
  }
}

/** Returns a hash of an engine's key (FNV-1a), 32 bits. */
export function saltOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
