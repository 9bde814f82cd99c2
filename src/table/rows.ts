/** The rows of the connection table: makes and ends them. row-search.ts finds them; layout.ts explains rows, homes, claims and ends. */
import { type FiveTuple, NONE, type Row } from '../model/connection.ts';
import { WIDE } from './key.ts';
import { HEAD, KIND, KIND_SHIFT, ROW_SHIFT_16, ROW_SHIFT_32, TRACK } from './layout.ts';
import { portInPacketOrder } from './packet-order.ts';
import { CLIENT, CLIENT_MASK, GENERATION_MASK, type NewRow, VPORT } from './row-fields.ts';
import { OPEN_COUNT, RowSearch } from './row-search.ts';

/** What `add` returns if a connection with the same key exists. */
export const TAKEN: Row = -2;

const LIVE = KIND.LIVE << KIND_SHIFT;
const PENDING = KIND.PENDING << KIND_SHIFT;
const LIVE_COUNT = HEAD.live >> 2;
const ORDER = HEAD.order >> 2;

/** Takes addresses and ports as the director has them. */
export class Rows extends RowSearch {
  /** Rows in use. */
  get size(): number {
    return this.head[LIVE_COUNT]!;
  }

  /** Reports whether the row is in use. A row that a program is making is not yet. */
  has(row: Row): boolean {
    return row >= 0 && row < this.capacity && this.kind(row) >= KIND.LIVE;
  }

  /**
   * Makes a row with 0 packets. Returns NONE if the table is full or the client's home has too many
   * rows, TAKEN if `kind` is LIVE and a LIVE row has the same ends.
   */
  add(ends: FiveTuple, made: NewRow): Row {
    const { protocol, caddr, cport, vaddr, vport } = ends;
    const { kind, salt } = made;
    if (this.size >= this.limit) return NONE;
    const { key } = this;
    const port = portInPacketOrder(vport);
    const clientPort = portInPacketOrder(cport) | (protocol << 16);
    key.set(caddr, vaddr);
    const client = clientPort | key.wide;
    const home = kind === KIND.TEMPLATE ? key.homeOfTemplate(protocol, port, salt) : key.home(clientPort);
    const row = this.claim(home);
    if (row === NONE) return NONE;
    this.fill(row, ends, made);
    this.orders[row] = Atomics.add(this.head, ORDER, 1);
    if (kind === KIND.TEMPLATE) this.controls.open(row, this.generation(row));
    this.link(home, row);
    if (kind === KIND.LIVE && this.#isTaken(row, home, client)) {
      this.unlink(home, row);
      this.free(row);
      return TAKEN;
    }
    Atomics.store(this.words, (row << ROW_SHIFT_32) + CLIENT, client | (kind << KIND_SHIFT));
    Atomics.add(this.head, LIVE_COUNT, 1);
    if (kind === KIND.OPEN) this.#countOpen(1);
    return row;
  }

  /** Makes the LIVE row one that only replies find: a newer connection has its key. */
  replace(row: Row): void {
    this.#setKind(row, KIND.REPLACED);
  }

  /** Makes the template one that no packet finds. */
  invalidate(row: Row): void {
    this.#setKind(row, KIND.INVALID);
  }

  /**
   * Ends the row if its `track` is unchanged: no packet changes its state after that. Reports whether this call ended it; the
   * caller then takes it off its destination's counts and calls `remove`.
   */
  end(row: Row, track: number): boolean {
    if ((track & TRACK.state) >= TRACK.RECYCLE) return false;
    const generation = (track & GENERATION_MASK) + (1 << TRACK.generation);
    // The annex finds the row by the destination's port until it is removed.
    return this.changeTrack(row, track, generation | TRACK.GONE | (track & TRACK.SAME_PORT));
  }

  /** Returns the home of a row with these ends. */
  homeFor({ protocol, caddr, cport, vaddr, vport }: FiveTuple, { kind, salt }: NewRow): number {
    this.key.set(caddr, vaddr);
    if (kind === KIND.TEMPLATE) return this.key.homeOfTemplate(protocol, portInPacketOrder(vport), salt);
    return this.key.home(portInPacketOrder(cport) | (protocol << 16));
  }

  /** Frees the place of a row; its number will be used again. */
  remove(row: Row): void {
    const kind = this.kind(row);
    if (kind < KIND.LIVE) throw new Error(`connection ${row}: removed twice`);
    if (kind === KIND.OPEN) this.#countOpen(-1);
    this.controls.release(row);
    this.unlink(this.homeOf(row), row);
    this.free(row);
    Atomics.sub(this.head, LIVE_COUNT, 1);
  }

  /**
   * Shows the rows from `from` to `to` whose time is up at this tick, until `visit` returns false. Returns the row after the
   * last that was looked at. `visit` may end them and add others.
   */
  eachDue(from: Row, to: Row, tick: number, visit: (row: Row) => boolean): Row {
    for (let row = from; row < to; row++) {
      if (this.kind(row) < KIND.LIVE) continue;
      // Modulo 2^32, because the clock wraps.
      if (((tick - this.seen(row)) | 0) > this.timeout(row) && !visit(row)) return row + 1;
    }
    return to;
  }

  /**
   * Publishes the row, whose key is that of the last lookup, as PENDING, and looks for another one with the key. Of two
   * processors that publish the same key at once, each has set its bit before it looks: at least one finds the other.
   */
  #isTaken(row: Row, home: number, client: number): boolean {
    Atomics.exchange(this.words, (row << ROW_SHIFT_32) + CLIENT, client | PENDING);
    const port = this.halves[(row << ROW_SHIFT_16) + VPORT]!;
    for (let other = this.nearFrom(home, home); other !== NONE; other = this.nearFrom(home, other + 1)) {
      if (other === row) continue;
      if (this.isRequest(other, client | LIVE, port) || this.isRequest(other, client | PENDING, port))
        return true;
    }
    return this.annex.size > 0 && this.findInAnnex(home, client | LIVE, port) !== NONE;
  }

  #countOpen(count: 1 | -1): void {
    this.head[OPEN_COUNT]! += count;
  }

  #setKind(row: Row, kind: number): void {
    const at = (row << ROW_SHIFT_32) + CLIENT;
    Atomics.store(this.words, at, (this.words[at]! & (CLIENT_MASK | WIDE)) | (kind << KIND_SHIFT));
  }
}
