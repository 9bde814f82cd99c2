/** Captures of running clients: copies of the packets of one service, before and after forwarding. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { sameService } from '../control/director-api.ts';
import type { Director } from '../director/director.ts';
import { connectionOf, serviceOf } from '../director/explain/attribution.ts';
import { serviceAddress } from '../director/service-address.ts';
import { snapshotOfConnection } from '../director/snapshots.ts';
import type { PacketIo } from '../io/packet-io.ts';
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

/** Captured packets that may wait for a client; more are counted as missed. */
const MAX_WAITING_PACKETS = 20_000;
/** ms between two batches for a client. */
const BATCH_MS = 200;
/** Places of the connection table that are examined in a turn of the event loop. */
const PLACES_PER_TURN = 4096;
const MAX_CAPTURES = 4;

interface Capture {
  readonly service: ServiceAddress;
  packets: CapturedPacket[];
  missed: number;
}

type Sender = Pick<PacketIo, 'transmit'>;
type SentPackets = CapturedPacket['sent'];

/** A sender in front of a driver's: copies what is sent while a packet is recorded. */
export class RecordingSender implements Sender {
  readonly #sender: Sender;
  #sent: SentPackets[number][] | undefined;

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    this.#sent?.push({ octets: base64(frame), nextHop: formatAddress(nextHop) });
    return this.#sender.transmit(frame, nextHop);
  }

  /** Returns the result of `action`, and copies of the packets that were sent meanwhile. */
  record<Result>(action: () => Result): { readonly result: Result; readonly sent: SentPackets } {
    const sent: SentPackets[number][] = [];
    this.#sent = sent;
    try {
      return { result: action(), sent };
    } finally {
      this.#sent = undefined;
    }
  }
}

/** Handles packets in place of the director. Costs a packet one comparison while no capture runs. */
export class PacketCaptures {
  readonly #director: Director;
  readonly #sender: RecordingSender;
  readonly #captures = new Set<Capture>();
  readonly #packet = new Packet();

  /** `sender`: the one that the director sends through. */
  constructor(director: Director, sender: RecordingSender) {
    this.#director = director;
    this.#sender = sender;
  }

  handle(frame: Frame, now: number): Verdict {
    return this.#captures.size === 0 ? this.#director.handle(frame, now) : this.#handleCaptured(frame, now);
  }

  get subject(): Frame {
    return this.#director.subject;
  }

  expire(now: number): void {
    this.#director.expire(now);
  }

  /**
   * Yields the packets of a service from now on, in batches. Batches may be empty: a client that has closed its
   * connection is noticed by them. Throws LvsError: no such service, or too many captures.
   */
  async *take(service: ServiceAddress): AsyncGenerator<CapturedPackets> {
    const services = [...this.#director.context.services.all].map((each) =>
      serviceAddress(each, formatAddress),
    );
    if (!services.some((each) => sameService(each, service)))
      throw new LvsError('NO_SUCH_SERVICE', `service ${formatService(service)} not found`);
    if (this.#captures.size >= MAX_CAPTURES)
      throw new LvsError(
        'UNAVAILABLE',
        `capture: ${MAX_CAPTURES} captures are already running (limit ${MAX_CAPTURES})`,
      );
    const capture: Capture = { service, packets: [], missed: 0 };
    this.#captures.add(capture);
    const { kernelPath } = this.#director.context;
    kernelPath.exclude(this.#isCaptured);
    try {
      await this.#recall(service);
      // The first batch, empty or nearly so, reports that the capture has started.
      for (;;) {
        const { packets, missed } = capture;
        capture.packets = [];
        capture.missed = 0;
        yield { packets, missed };
        await sleep(BATCH_MS);
      }
    } finally {
      this.#captures.delete(capture);
      if (this.#captures.size === 0) kernelPath.exclude(undefined);
    }
  }

  /** Removes the service's connections from the kernel path, in slices, so that the director receives their packets. */
  async #recall(service: ServiceAddress): Promise<void> {
    const { kernelPath, table } = this.#director.context;
    if (!kernelPath.isAttached) return;
    for (let from = 0; from < table.places; from += PLACES_PER_TURN) {
      for (const row of table.rows(from, from + PLACES_PER_TURN))
        if (this.#isOf(row, service)) kernelPath.hold(row);
      await nextTurn();
    }
  }

  readonly #isCaptured = (row: Row): boolean => {
    for (const { service } of this.#captures) if (this.#isOf(row, service)) return true;
    return false;
  };

  #isOf(row: Row, service: ServiceAddress): boolean {
    const { table, destinations } = this.#director.context;
    const its = destinations.all[table.destination(row)]?.service;
    return its !== undefined && sameService(serviceAddress(its, formatAddress), service);
  }

  #handleCaptured(frame: Frame, now: number): Verdict {
    const core = this.#director.context;
    const packet = this.#packet;
    const octets = base64(frame);
    const isPacket = packet.decode(frame);
    const before = isPacket ? connectionOf(core, packet) : NONE;
    const service = isPacket ? serviceOf(core, packet, before) : undefined;
    const name = service && serviceAddress(service, formatAddress);
    const captures = [...this.#captures].filter((capture) => name && sameService(capture.service, name));
    if (captures.length === 0) return this.#director.handle(frame, now);
    const known = before === NONE ? undefined : snapshotOfConnection(core, before, now);
    const at = performance.timeOrigin + performance.now();
    const { result: verdict, sent } = this.#sender.record(() => this.#director.handle(frame, now));
    const { row, snapshot } = this.#after(octets, now);
    const connection = row === NONE ? known : snapshot;
    const captured: CapturedPacket = {
      at,
      octets,
      verdict,
      ...(connection && { connection: textOf(connection) }),
      sent,
    };
    for (const capture of captures) {
      if (capture.packets.length < MAX_WAITING_PACKETS) capture.packets.push(captured);
      else capture.missed++;
    }
    return verdict;
  }

  /** Returns the packet's connection after it was handled. The frame holds another packet by then. */
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

const textOf = (it: ConnectionSnapshot): string =>
  `${it.protocol} ${it.state} client ${joinEndpoint(it.clientAddress, it.clientPort)} ` +
  `virtual ${joinEndpoint(it.virtualAddress, it.virtualPort)} ` +
  `destination ${joinEndpoint(it.destinationAddress, it.destinationPort)}`;
