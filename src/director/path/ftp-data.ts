/** Makes the data connections of FTP that a control connection has announced. */
import type { Announcement } from '../../ftp/announcements.ts';
import type { ControlState } from '../../ftp/control-state.ts';
import { type FiveTuple, NONE, type Row } from '../../model/connection.ts';
import type { FtpRefusal } from '../../model/ftp.ts';
import { FTP_DATA_PORT, FTP_PORT } from '../../model/service.ts';
import { type Address, familyOf, formatAddress, formatEndpoint, sameAddress } from '../../wire/address.ts';
import { TCP } from '../../wire/tcp.ts';
import { INACTIVE, MASQ, NO_CPORT } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import { bindWith, control, end } from './connection-lifecycle.ts';
import { TCP_CLOSE, TCP_LISTEN, TCP_TIME_WAIT } from './tcp-state.ts';

/** No data connection has a lower port: those of the system's services. */
const FIRST_UNPRIVILEGED_PORT = 1024;

export class DataConnections {
  readonly #core: Core;
  readonly #caddr: Address = new Uint32Array(4);
  readonly #vaddr: Address = new Uint32Array(4);

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Makes the connection that was announced on the control connection `row`, or counts why not; undefined: the announcement
   * cannot be read. Ends the oldest of those that have not begun, if there are many.
   */
  expect(row: Row, state: ControlState, announced: Announcement | undefined, now: number): void {
    const { counts } = this.#core;
    counts.ftpAnnounced++;
    const why = announced === undefined ? 'unreadable' : this.#make(row, state, announced, now);
    if (why === undefined) return;
    counts.ftpRefused++;
    this.#core.report({ what: 'refused', why });
  }

  #make(row: Row, state: ControlState, announced: Announcement, now: number): FtpRefusal | undefined {
    const { table, services } = this.#core;
    const caddr = table.copyCaddr(row, this.#caddr);
    const vaddr = table.copyVaddr(row, this.#vaddr);
    const { by, address, port } = announced;
    if (port < FIRST_UNPRIVILEGED_PORT) return 'port';
    const own = by === 'client' ? caddr : destinationOf(this.#core, row).address;
    const isOwn = address === undefined || sameAddress(address, own);
    if (by === 'client') {
      if (!isOwn) return 'address';
      if (table.dport(row) !== FTP_PORT) return 'server-port';
      return this.#open(row, state, { protocol: TCP, caddr, cport: port, vaddr, vport: FTP_DATA_PORT }, now);
    }
    // A server may be configured to announce the virtual address itself.
    if (!isOwn && !sameAddress(address, vaddr)) return 'address';
    const key = { protocol: TCP, family: familyOf(vaddr), address: vaddr, port, mark: 0 };
    if (services.get(key) !== undefined) return 'service';
    return this.#open(row, state, { protocol: TCP, caddr, cport: 0, vaddr, vport: port }, now);
  }

  #open(row: Row, state: ControlState, ends: FiveTuple, now: number): FtpRefusal | undefined {
    const { table, timeouts } = this.#core;
    const { protocol, caddr, cport, vaddr, vport } = ends;
    const known = table.findFromClient(protocol, caddr, cport, vaddr, vport);
    if (known !== NONE) {
      if (table.template(known) === row && !isOver(table.state(known))) {
        table.touch(known, now);
        return undefined;
      }
      const isUnused = table.isOpen(known) || isOver(table.state(known));
      if (!isUnused || !end(this.#core, known)) return 'taken';
    }
    const destination = destinationOf(this.#core, row);
    // The server's data port is the virtual one, as in the kernel (Linux 6.1, ip_vs_ftp).
    const flags = MASQ | INACTIVE | (cport === 0 ? NO_CPORT : 0);
    const made = bindWith(this.#core, ends, { destination, dport: vport, flags, salt: 0 });
    if (made === NONE) return 'table-full';
    table.setState(made, TCP_LISTEN);
    table.setTimeout(made, timeouts.tcp[TCP_LISTEN]!);
    control(this.#core, made, row);
    // No template has to be assured.
    table.setAssured(made);
    table.touch(made, now);
    this.#endUnused(state.expect(made + 1, table.order(made)));
    this.#core.report({
      what: 'expected',
      client: cport === 0 ? formatAddress(caddr) : formatEndpoint(caddr, cport),
      virtual: formatEndpoint(vaddr, vport),
      server: formatEndpoint(destination.address, vport),
    });
    return undefined;
  }

  /** Ends a connection that was expected earlier and has not begun. */
  #endUnused([number, order]: readonly [number, number]): void {
    const { table } = this.#core;
    const row = number - 1;
    if (row < 0 || !table.has(row) || table.order(row) !== order || table.state(row) !== TCP_LISTEN) return;
    end(this.#core, row);
  }
}

const isOver = (state: number): boolean => state === TCP_TIME_WAIT || state === TCP_CLOSE;
