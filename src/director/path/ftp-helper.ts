/**
 * Assists FTP control connections with NAT (RFC 959, RFC 2428): translates the server's address in the reply 227, keeps the
 * sequence numbers of both ends right after that, and makes the data connections that clients and servers announce.
 */
import type { Announcement } from '../../ftp/announcements.ts';
import { ControlState, MAX_EXPECTED, STATE_WORDS } from '../../ftp/control-state.ts';
import { fromClient, fromServer, REFUSED } from '../../ftp/control-stream.ts';
import { changeAcknowledgement, changeSegment, segmentOf } from '../../ftp/packet-changes.ts';
import type { ReplyAddresses } from '../../ftp/server-lines.ts';
import type { Row } from '../../model/connection.ts';
import { FTP_PORT, hasFtpHelper } from '../../model/service.ts';
import type { Verdict } from '../../model/verdict.ts';
import { type Address, formatAddress, isV4, sameAddress } from '../../wire/address.ts';
import { Frame } from '../../wire/frame.ts';
import { Packet } from '../../wire/packet.ts';
import { ACK, SYN, TCP, tcp } from '../../wire/tcp.ts';
import { checksumHolds, isPartial, recompute } from '../../wire/transport-checksum.ts';
import { MASQ } from '../connection-flags.ts';
import { type Core, destinationOf } from '../core.ts';
import { DataConnections } from './ftp-data.ts';
import { TCP_ESTABLISHED } from './tcp-state.ts';

const NOTHING = new Uint8Array();

/** One per director. Keeps the states of control connections in the memory of the table. */
export class FtpHelper {
  readonly #core: Core;
  readonly #data: DataConnections;
  readonly #state = new ControlState();
  readonly #rest = new Packet();
  readonly #restFrame = new Frame();
  readonly #caddr: Address = new Uint32Array(4);
  readonly #vaddr: Address = new Uint32Array(4);

  constructor(core: Core) {
    this.#core = core;
    this.#data = new DataConnections(core);
  }

  /** Reports whether this assists the connection. Programs of the kernel must leave all of its packets to the director. */
  assists(row: Row): boolean {
    const { table } = this.#core;
    return (
      table.vport(row) === FTP_PORT &&
      table.protocol(row) === TCP &&
      table.method(row) === MASQ &&
      hasFtpHelper(destinationOf(this.#core, row).service)
    );
  }

  /** Changes a client's packet for the server. Returns the verdict if it must not be forwarded. */
  request(row: Row, packet: Packet, now: number): Verdict | undefined {
    const at = this.#open(row, packet);
    if (typeof at !== 'number') return at;
    const announced: (Announcement | undefined)[] = [];
    if (fromClient(this.#state, segmentOf(packet), announced) === REFUSED) return 'ftp-order';
    changeAcknowledgement(packet, this.#state);
    this.#close(row, at, announced, now);
    return undefined;
  }

  /**
   * Changes a server's packet for the client. Returns the verdict if it must not be forwarded, or the packet that has to follow
   * it: the end of a segment that has become too long for the path.
   */
  reply(row: Row, packet: Packet, now: number): Verdict | Packet | undefined {
    const at = this.#open(row, packet);
    if (typeof at !== 'number') return at;
    const { table, forwarding, counts } = this.#core;
    const state = this.#state;
    const announced: (Announcement | undefined)[] = [];
    const vaddr = table.copyVaddr(row, this.#vaddr);
    const addresses = addressesOf(destinationOf(this.#core, row).address, vaddr);
    const translated = fromServer(state, segmentOf(packet), addresses, announced);
    if (translated === REFUSED) return 'ftp-order';
    const { added } = state;
    const mtu = forwarding.host.route(table.copyCaddr(row, this.#caddr))?.mtu ?? Number.POSITIVE_INFINITY;
    const hasRest = changeSegment(packet, state, translated, mtu, this.#restFrame);
    counts.ftpTranslated += added;
    if (added > 0) this.#core.report({ what: 'translated', address: formatAddress(vaddr) });
    this.#close(row, at, announced, now);
    // Backups have to know the new sequence numbers.
    if (added > 0) this.#core.sync.extended(row);
    if (!hasRest) return undefined;
    this.#rest.decode(this.#restFrame);
    recompute(this.#rest);
    return this.#rest;
  }

  /** Reads the state of the connection. Returns its place; or the verdict on the packet, undefined if it is forwarded unchanged. */
  #open(row: Row, packet: Packet): number | Verdict | undefined {
    if (!this.assists(row) || packet.malformed) return undefined;
    const { table, controls, counts } = this.#core;
    if ((packet.tcpFlags & SYN) !== 0) {
      // A forged SYN changes nothing while the ends talk to each other.
      if (table.state(row) !== TCP_ESTABLISHED) this.#begin(row, packet);
      return undefined;
    }
    if (!isPartial(packet) && !checksumHolds(packet)) return 'malformed';
    let at = controls.find(row);
    if (at < 0) at = controls.make(row);
    if (at < 0) {
      counts.ftpUnassisted++;
      return undefined;
    }
    this.#state.open(controls.words.subarray(at, at + STATE_WORDS));
    return at;
  }

  /** Begins a new state with the SYN of the server, which tells where both streams begin. */
  #begin(row: Row, { frame, transport, tcpFlags }: Packet): void {
    const { controls } = this.#core;
    if ((tcpFlags & ACK) === 0) {
      controls.drop(row);
      return;
    }
    const at = controls.make(row);
    if (at < 0) return;
    const state = this.#state;
    state.open(controls.words.subarray(at, at + STATE_WORDS));
    state.serverNext = state.acknowledged = tcp.sequence(frame, transport) + 1;
    state.clientNext = tcp.acknowledgement(frame, transport);
    controls.words.set(state.words, at);
  }

  #close(row: Row, at: number, announced: readonly (Announcement | undefined)[], now: number): void {
    // One packet may contain thousands: the last ones would replace all others anyway.
    for (const each of announced.slice(-MAX_EXPECTED)) this.#data.expect(row, this.#state, each, now);
    this.#core.controls.words.set(this.#state.words, at);
  }
}

/** Returns how a server writes its own IPv4 address, and the virtual one for the client, as far as the port's comma. */
function addressesOf(own: Address, virtual: Address): ReplyAddresses {
  if (!isV4(own) || sameAddress(own, virtual)) return { own: NOTHING, virtual: NOTHING };
  return { own: numbersOf(own), virtual: numbersOf(virtual) };
}

const numbersOf = (address: Address): Uint8Array =>
  Buffer.from(`${formatAddress(address).replaceAll('.', ',')},`, 'latin1');
