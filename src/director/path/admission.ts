/** Admits new connections: service, template, scheduler, table row; or returns why not. */

import { sendPortUnreachable } from '../../forwarding/icmp.ts';
import { NONE, type Row } from '../../model/connection.ts';
import { CONNECTIONS } from '../../model/counters.ts';
import { FTP_DATA_PORT, FTP_PORT } from '../../model/service.ts';
import type { Verdict } from '../../model/verdict.ts';
import { type Address, ANY6, isMulticast, isOneHost, sameAddress } from '../../wire/address.ts';
import { UDP } from '../../wire/udp.ts';
import { ONE_PACKET } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import type { RealDestination, Service } from '../service.ts';
import type { Arrival } from './arrival.ts';
import { bind, control } from './connection-lifecycle.ts';
import { Persistence } from './persistence.ts';

/** Linux 6.1 accepts the unspecified address of IPv6, and not that of IPv4. */
const mayBeClient = (address: Address): boolean => isOneHost(address) || sameAddress(address, ANY6);

/** Where a new connection goes. */
interface Selected {
  readonly destination: RealDestination;
  readonly dport: number;
  /** It is the first one of a client of a persistent service. */
  readonly isFirst: boolean;
}

/** Decides about packets of no connection. */
export class Admission {
  readonly #core: Core;
  readonly #persistence: Persistence;

  constructor(core: Core) {
    this.#core = core;
    this.#persistence = new Persistence(core);
  }

  /** Returns the row of the new connection, or the packet's verdict. */
  admit(arrival: Arrival): Row | Verdict {
    const { settings, services, access, takeover, table, counts } = this.#core;
    if (!arrival.begins(settings.sloppy_tcp !== 0, settings.sloppy_sctp !== 0))
      return this.#isDeniedLate(arrival) ? 'denied' : 'pass';
    const { family, mark, protocol, vaddr, vport } = arrival;
    const service = services.lookup(family, mark, protocol, vaddr, vport);
    if (service === undefined) return 'pass';
    if (access.isDenied(service, arrival.caddr)) return 'denied';
    // Linux routes a packet before it balances it, and no route accepts such senders (ip_route_input_slow, 6.1).
    if (!mayBeClient(arrival.caddr) || isMulticast(vaddr)) return 'pass';
    const { src, dst, frame } = arrival.packet;
    if (this.#core.forwarding.host.isValidSource?.(src, dst, frame.ingress) === false)
      return 'martian-source';
    if (this.#isDropped()) return 'drop-rate';
    // FTP data from the server belongs to an existing connection, or to none.
    if (arrival.cport === FTP_DATA_PORT) return 'pass';
    const isTakenOver = takeover.share > 0 && arrival.continues;
    if (isTakenOver && table.size >= takeover.share * table.capacity) return 'takeover-limit';
    if (service.persistence > 0) return this.#admitPersistent(service, arrival);
    const isForIt = service.mark !== 0 || vport === service.port;
    const destination = isForIt ? this.#schedule(service, arrival, isTakenOver) : undefined;
    if (destination === undefined) return isTakenOver ? 'no-destination' : this.#refuse(service, arrival);
    const dport = destination.port || vport;
    const row = this.#connect(service, { destination, dport, isFirst: false }, arrival);
    if (isTakenOver && typeof row === 'number') counts.takenOver++;
    return row;
  }

  /** Reports whether a packet that begins no connection may be of one that ended because its client is denied. */
  #isDeniedLate({ family, mark, protocol, vaddr, vport, caddr }: Arrival): boolean {
    const { access, services } = this.#core;
    if (access.isEmpty) return false;
    const service = services.lookup(family, mark, protocol, vaddr, vport);
    return service !== undefined && access.isDenied(service, caddr);
  }

  /** Reports whether this attempt is one of those that drop_packet drops. */
  #isDropped(): boolean {
    const core = this.#core;
    if (core.dropRate === 0 || --core.untilDrop > 0) return false;
    core.untilDrop = core.dropRate;
    return true;
  }

  #schedule(service: Service, arrival: Arrival, isTakenOver = false): RealDestination | undefined {
    const { counts } = this.#core;
    counts.scheduled++;
    const { scheduler } = service;
    const selected =
      isTakenOver && scheduler.continued ? scheduler.continued(arrival) : scheduler.schedule(arrival);
    const destination = selected as RealDestination | undefined;
    if (destination === undefined) counts.refused++;
    return destination;
  }

  /**
   * Returns the connection to the destination of the client's template; without one, the scheduler selects
   * for all that follow.
   */
  #admitPersistent(service: Service, arrival: Arrival): Row | Verdict {
    const { table, counts } = this.#core;
    if (!this.#persistence.select(service, arrival)) return 'engine-unparsable';
    let template = this.#persistence.find();
    let destination: RealDestination | undefined;
    const isFirst = template === NONE;
    if (isFirst) {
      destination = this.#schedule(service, arrival);
      if (destination === undefined) return this.#refuse(service, arrival);
      template = this.#persistence.create(service, destination);
      if (template === NONE) return 'table-full';
    } else {
      destination = destinationOf(this.#core, template);
      counts.templated++;
    }
    const { vport } = arrival;
    const dport = vport === service.port && destination.port !== 0 ? destination.port : vport;
    const admitted = this.#connect(service, { destination, dport, isFirst }, arrival);
    if (typeof admitted === 'number') control(this.#core, admitted, template);
    table.touch(template, arrival.now);
    return admitted;
  }

  /**
   * Returns the connection that a message of the real server to a client creates, as in Linux 6.1
   * (ip_vs_new_conn_out), when the service has a persistence engine that finds its key in the message; NONE
   * otherwise.
   */
  admitStarted(destination: RealDestination, arrival: Arrival): Row {
    const { service } = destination;
    // The virtual address of a mark, and the port of a service of all ports, are not known here.
    if (service.options.engine === undefined || service.mark !== 0 || service.port === 0) return NONE;
    if (this.#core.access.isDenied(service, arrival.caddr)) return NONE;
    if (!this.#persistence.select(service, arrival)) return NONE;
    let template = this.#persistence.find(destination);
    if (template === NONE) template = this.#persistence.create(service, destination);
    if (template === NONE) return NONE;
    const row = this.#connect(service, { destination, dport: destination.port, isFirst: false }, arrival);
    if (typeof row !== 'number') return NONE;
    control(this.#core, row, template);
    this.#core.table.touch(template, arrival.now);
    return row;
  }

  #connect(service: Service, { destination, dport, isFirst }: Selected, arrival: Arrival): Row | Verdict {
    const kind = service.options.ops && arrival.protocol === UDP ? ONE_PACKET : 0;
    const row = bind(this.#core, arrival, { destination, dport, kind, salt: 0 });
    if (row === NONE) return 'table-full';
    const { total, counts, kernelPath } = this.#core;
    kernelPath.admitted(service, isFirst);
    destination.counters[CONNECTIONS]!++;
    service.counters[CONNECTIONS]!++;
    total.counters[CONNECTIONS]!++;
    counts.admitted++;
    return row;
  }

  /** Sends an error to the client, because no destination accepts the connection. */
  #refuse(service: Service, arrival: Arrival): Verdict {
    const { settings, forwarding } = this.#core;
    const isElsewhere = service.mark !== 0 && !forwarding.host.isLocal(arrival.vaddr);
    if (settings.cache_bypass !== 0 && isElsewhere && !arrival.isQuoted) return 'pass';
    // Ports next to an FTP service may have been its data connections.
    if (service.port === FTP_PORT && arrival.vport !== FTP_PORT) return 'pass';
    if (!arrival.isQuoted) sendPortUnreachable(arrival.packet, arrival.vaddr, forwarding);
    return 'no-destination';
  }
}
