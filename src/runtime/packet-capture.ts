/** Copies of the packets of one service, before and after forwarding, for as long as somebody takes them. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { sameService } from '../control/director-api.ts';
import { serviceAddress } from '../director/administration.ts';
import type { Director } from '../director/director.ts';
import { connectionOf, serviceOf } from '../director/explain/attribution.ts';
import { snapshotOfConnection } from '../director/snapshots.ts';
import { type FlowOffload, noOffload } from '../forwarding/offload.ts';
import type { CapturedPacket, CapturedPackets } from '../model/capture.ts';
import { NONE, type Row } from '../model/connection.ts';
import { LvsError } from '../model/errors.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConnectionSnapshot } from '../model/snapshot.ts';
import type { Verdict } from '../model/verdict.ts';
import { type Address, formatAddress, joinEndpoint } from '../wire/address.ts';
import { Frame } from '../wire/frame.ts';
import { Packet } from '../wire/packet.ts';

/** Packets that wait to be taken, and ms between two takings. */
const MOST = 20_000;
const PERIOD = 200;
/** Connections that are looked at in a turn. */
const ROWS_PER_TURN = 10_000;
/** Takers at once. */
const MOST_TAKERS = 4;

interface Taker {
  readonly service: ServiceAddress;
  packets: CapturedPacket[];
  missed: number;
}

/** What packets are sent through. */
interface Sender {
  transmit(frame: Frame, nextHop: Address): boolean;
}

/** Costs a packet one comparison while nobody takes. */
export class PacketTap {
  readonly #director: Director;
  readonly #io: Sender;
  readonly #takers = new Set<Taker>();
  readonly #packet = new Packet();
  /** The kernel path that is stood in front of. */
  #offload: FlowOffload = noOffload;
  #sent: { octets: string; nextHop: string }[] | undefined;

  constructor(director: Director, io: Sender) {
    this.#director = director;
    this.#io = io;
  }

  /** In place of the director's own. */
  handle(frame: Frame, now: number): Verdict {
    return this.#takers.size === 0 ? this.#director.handle(frame, now) : this.#tapped(frame, now);
  }

  get subject(): Frame {
    return this.#director.subject;
  }

  expire(now: number): void {
    this.#director.expire(now);
  }

  /** What comes from now on, in small lots, empty ones too: whoever went away is noticed by them. */
  async *take(service: ServiceAddress): AsyncGenerator<CapturedPackets> {
    const services = [...this.#director.context.services.all].map((each) =>
      serviceAddress(each, formatAddress),
    );
    if (!services.some((each) => sameService(each, service)))
      throw new LvsError('NO_SUCH_SERVICE', `there is no service ${formatService(service)}`);
    if (this.#takers.size >= MOST_TAKERS)
      throw new LvsError('UNAVAILABLE', `${MOST_TAKERS} take packets already`);
    const taker: Taker = { service, packets: [], missed: 0 };
    if (this.#takers.size === 0) this.#listen();
    this.#takers.add(taker);
    try {
      await this.#recall(service);
      // The first one, empty or nearly so, says that it has begun.
      for (;;) {
        const { packets, missed } = taker;
        taker.packets = [];
        taker.missed = 0;
        yield { packets, missed };
        await sleep(PERIOD);
      }
    } finally {
      this.#takers.delete(taker);
      if (this.#takers.size === 0) this.#leave();
    }
  }

  /** Stands in front of the driver's own way to send and of the kernel path, until it leaves. */
  #listen(): void {
    const io = this.#io;
    const core = this.#director.context;
    const offload = core.offload;
    this.#offload = offload;
    core.offload = {
      install: (row) => !this.#isTaken(row) && offload.install(row),
      remove: (row) => offload.remove(row),
      sweep: () => offload.sweep(),
    };
    const transmit = io.transmit.bind(io);
    io.transmit = (frame, nextHop) => {
      this.#sent?.push({ octets: base64(frame), nextHop: formatAddress(nextHop) });
      return transmit(frame, nextHop);
    };
  }

  #leave(): void {
    Reflect.deleteProperty(this.#io, 'transmit');
    this.#director.context.offload = this.#offload;
    this.#offload = noOffload;
  }

  /** Connections of the service that the kernel forwards come back to the director, some at a time. */
  async #recall(service: ServiceAddress): Promise<void> {
    if (this.#offload === noOffload) return;
    let looked = 0;
    for (const row of this.#director.context.table.rows()) {
      if (this.#isOf(row, service)) this.#offload.remove(row);
      if (++looked % ROWS_PER_TURN === 0) await nextTurn();
    }
  }

  #isTaken(row: Row): boolean {
    for (const { service } of this.#takers) if (this.#isOf(row, service)) return true;
    return false;
  }

  #isOf(row: Row, service: ServiceAddress): boolean {
    const { table, destinations } = this.#director.context;
    const its = destinations.all[table.destination(row)]?.service;
    return its !== undefined && sameService(serviceAddress(its, formatAddress), service);
  }

  #tapped(frame: Frame, now: number): Verdict {
    const core = this.#director.context;
    const packet = this.#packet;
    const octets = base64(frame);
    const isPacket = packet.decode(frame);
    const before = isPacket ? connectionOf(core, packet) : NONE;
    const service = isPacket ? serviceOf(core, packet, before) : undefined;
    const name = service && serviceAddress(service, formatAddress);
    const takers = [...this.#takers].filter((taker) => name && sameService(taker.service, name));
    if (takers.length === 0) return this.#director.handle(frame, now);
    const known = before === NONE ? undefined : snapshotOfConnection(core, before, now);
    this.#sent = [];
    const at = performance.timeOrigin + performance.now();
    const verdict = this.#director.handle(frame, now);
    const { row, snapshot } = this.#after(octets, now);
    const connection = row === NONE ? known : snapshot;
    const captured: CapturedPacket = {
      at,
      octets,
      verdict,
      ...(connection && { connection: wordsOf(connection) }),
      sent: this.#sent,
    };
    this.#sent = undefined;
    for (const taker of takers) {
      if (taker.packets.length < MOST) taker.packets.push(captured);
      else taker.missed++;
    }
    return verdict;
  }

  /** The packet's connection now; the frame itself is another packet by now. */
  #after(octets: string, now: number): { row: number; snapshot: ConnectionSnapshot | undefined } {
    const core = this.#director.context;
    const frame = this.#copy;
    const packet = this.#packet;
    if (!frame.load(Buffer.from(octets, 'base64')) || !packet.decode(frame))
      return { row: NONE, snapshot: undefined };
    const row = connectionOf(core, packet);
    return { row, snapshot: row === NONE ? undefined : snapshotOfConnection(core, row, now) };
  }

  readonly #copy = new Frame();
}

const base64 = (frame: Frame): string =>
  Buffer.from(frame.bytes.buffer, frame.start, frame.length).toString('base64');

const wordsOf = (it: ConnectionSnapshot): string =>
  `${it.protocol} ${it.state} client ${joinEndpoint(it.clientAddress, it.clientPort)} ` +
  `virtual ${joinEndpoint(it.virtualAddress, it.virtualPort)} ` +
  `destination ${joinEndpoint(it.destinationAddress, it.destinationPort)}`;
