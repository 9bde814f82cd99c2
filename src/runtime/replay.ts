/** Replays recorded packets: passes them to a new director, with the file's clock and a seeded random source. */

import { Director } from '../director/director.ts';
import { ReplayIo } from '../io/replay.ts';
import { LvsError } from '../model/errors.ts';
import type { ConnectionSnapshot, Snapshot } from '../model/snapshot.ts';
import type { Verdict } from '../model/verdict.ts';
import { type Address, addressFromV4, isV4, parseAddress, sameAddress } from '../wire/address.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, MAC, sameMac } from '../wire/ethernet.ts';
import type { Frame } from '../wire/frame.ts';
import { Packet } from '../wire/packet.ts';
import { LINKTYPE_RAW, PcapFileError, pcapHeader, pcapPacket, readPcap } from '../wire/pcap-file.ts';
import { setLists } from './blocked-clients.ts';
import type { Loaded } from './configuration/configuration.ts';

export interface ReplayResult {
  /** IP packets that the director received. */
  readonly packets: number;
  /** Frames that it did not: truncated, not IP, or not addressed to the director. */
  readonly skipped: number;
  /** Packets that the director sent. */
  readonly sent: number;
  readonly verdicts: Readonly<Partial<Record<Verdict, number>>>;
  readonly connections: readonly ConnectionSnapshot[];
  readonly snapshot: Snapshot;
  /** The sent packets, as a pcap file of IP packets. */
  readonly file: Uint8Array;
}

/** Interval of the director's timers, ms. */
const TICK_MS = 100;
/** Maximum time between two packets, ms: a longer one means an invalid file, and too many timer ticks. */
const MAX_GAP_MS = 30 * 86_400_000;
/** Connections and templates that a packet can make at most, and the bytes of a record of a file with an IPv4 header. */
const ROWS_PER_PACKET = 4;
const MIN_RECORD_BYTES = 36;
/** Rows of the connection table; the maximum is the director's default. */
const MIN_ROWS = 4096;
const MAX_ROWS = 1_048_576;
/** Bytes: every link of a replay is Ethernet. */
const MTU_BYTES = 1500;

/**
 * Returns the same bytes for the same file, configuration and seed. Throws LvsError IO when the file is
 * truncated.
 */
export function replay(config: Loaded, file: Uint8Array, seed: number): ReplayResult {
  const out: Uint8Array[] = [pcapHeader(LINKTYPE_RAW)];
  const local = ownAddresses(config);
  let began = 0;
  let now = 0;
  const director = new Director({
    random: seeded(seed),
    maxConnections: tableSizeFor(file),
    host: {
      transmit(frame) {
        out.push(pcapPacket(frame.bytes.subarray(frame.start, frame.end), began + now));
        return true;
      },
      route: (to) => ({ mtu: MTU_BYTES, source: sourceTowards(to, local) }),
      isLocal: (address) => local.some((own) => sameAddress(own, address)),
    },
  });
  setLists(director.context.access, config.access.entries);
  for (const command of config.commands) director.apply(command, 0);
  const verdicts: Partial<Record<Verdict, number>> = {};
  let packets = 0;
  let skipped = 0;
  try {
    const io = new ReplayIo(file);
    began = readPcap(file).next().value?.at ?? 0;
    const toDirector = io.medium === 'ethernet' ? ethernetFilter(local) : () => true;
    for (let due = io.due; due !== undefined; due = io.due) {
      if (due - now > MAX_GAP_MS) throw new LvsError('IO', `replay: cannot continue: ${gapText(due - now)}`);
      // The timers run as in real time: at every tick between two packets.
      for (; now + TICK_MS <= due; now += TICK_MS) director.expire(now + TICK_MS);
      now = Math.max(now, Math.floor(due));
      io.receive((frame) => {
        if (!toDirector(frame)) return void skipped++;
        packets++;
        const verdict = director.handle(frame, now);
        verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
      }, 1);
    }
    skipped += io.skipped;
  } catch (cause) {
    if (!(cause instanceof PcapFileError)) throw cause;
    throw new LvsError('IO', `replay: cannot read the recorded packets: ${cause.message}`, { cause });
  }
  readCounters(director);
  return {
    packets,
    skipped,
    sent: out.length - 1,
    verdicts,
    connections: [...director.connections(now)],
    snapshot: director.snapshot(now),
    file: Buffer.concat(out),
  };
}

/** Returns a number of rows that the packets of the file cannot fill: reading the places of a large table takes long. */
function tableSizeFor(file: Uint8Array): number {
  const rows = (ROWS_PER_PACKET * file.length) / MIN_RECORD_BYTES;
  return Math.min(Math.max(MIN_ROWS, 2 ** Math.ceil(Math.log2(rows))), MAX_ROWS);
}

/** Advances the rate estimators by one tick, because a recording ends between two ticks. */
function readCounters({ context: { total, services } }: Director): void {
  total.tick();
  for (const { meter, destinations } of services.all)
    for (const each of [meter, ...destinations.map((one) => one.meter)]) each.tick();
}

const gapText = (ms: number): string =>
  `a packet is ${Math.floor(ms / 86_400_000)} days after the previous one`;

/**
 * Returns a function that strips the Ethernet header and returns true for frames to the director. A recording
 * on the director's host also contains frames that it sent: its MAC address is the destination of the first
 * packet to one of its addresses.
 */
function ethernetFilter(local: readonly Address[]): (frame: Frame) => boolean {
  const packet = new Packet();
  let mac: Uint8Array | undefined;
  return (frame) => {
    const header = frame.start;
    const type = frame.view.getUint16(header + ETHERNET_HEADER - 2);
    if (frame.length <= ETHERNET_HEADER || (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6)) return false;
    frame.start += ETHERNET_HEADER;
    if (!mac && packet.decode(frame) && local.some((own) => sameAddress(own, packet.dst)))
      mac = frame.bytes.slice(header, header + MAC);
    return mac !== undefined && sameMac(frame.bytes, header, mac);
  };
}

/**
 * Returns the addresses of the director's host in its configuration: those of services, VIPs, and the inside
 * address.
 */
function ownAddresses({ document, vips }: Loaded): Address[] {
  const texts = [
    ...vips.map(({ address }) => address),
    ...document.services.flatMap(({ service }) => ('address' in service ? [service.address] : [])),
    ...(document.director.inside ? [document.director.inside.address] : []),
  ];
  return [...new Set(texts)].flatMap((text) => parseAddress(text) ?? []);
}

/**
 * Returns the source address towards `to`: the inside address if there is one, which is last; 192.0.2.1 (RFC
 * 5737) otherwise.
 */
const sourceTowards = (to: Address, local: readonly Address[]): Address =>
  local.findLast((own) => isV4(own) === isV4(to)) ?? addressFromV4(0xc0000201);

/**
 * Returns a source of numbers 0 <= x < 1 that depend on the seed only: xorshift with 13, 17, 5 (Marsaglia,
 * Xorshift RNGs, 2003).
 */
export function seeded(seed: number): () => number {
  // Zero is a fixed point of xorshift.
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
