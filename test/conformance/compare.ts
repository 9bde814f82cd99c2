/** Whether an answer is the recorded one, as far as recordings of the same kernel are alike. */

import type { GoldenPacket } from '../support/golden.ts';
import type { Arrival } from './arrival.ts';
import { blurTimes } from './blur-times.ts';
import { type Dissection, dissect, summary } from './dissect.ts';

/** s: how far a timeout may be off, up to `SHORT` s and above: the kernel's timers are coarse. */
const SLACK = 2;
const SHORT = 300;
const LONG_SLACK = 70;
/** Of a template, whose timer is set again each time it runs out: lateness adds up. */
const TEMPLATE_SLACK = 15;
/** s: for so long a template is kept that ran out while it had connections. */
const EXTENSION = 60;
/** Time to live of what a host makes itself; forwarded packets have less. */
const OWN_TTL = 64;
/** Precedence of ICMP errors that a host makes (RFC 1812 section 4.3.2.5). */
const INTERNET_CONTROL = 6;
const GUE_PORT = 6080;

/** Returns one difference as a line of text; undefined: none. */
export type Difference = string | undefined;

const differ = (what: string, expected: string, got: string): string =>
  `expected ${what}${expected} got ${got}`;

export function comparePick(expected: string, got: string): Difference {
  if (expected === got) return undefined;
  const blur = (pick: string) =>
    / seq=\d+ .*ttl=64/.test(pick) ? pick.replace(/ seq=\d+| id=0x[0-9a-f]+/g, '') : pick;
  return blur(expected) === blur(got) ? undefined : differ('pick ', expected, got);
}

export function comparePicks(expected: readonly string[], got: readonly string[]): Difference {
  for (const [i, pick] of expected.entries()) {
    const difference = comparePick(pick, got[i] ?? 'nothing');
    if (difference) return `flow ${i}: ${difference} (${runs(expected)} / ${runs(got)})`;
  }
  return expected.length === got.length ? undefined : `expected ${expected.length} picks got ${got.length}`;
}

/** The first picks, for a person to compare. */
const runs = (picks: readonly string[]): string =>
  picks.slice(0, 24).join(' ') + (picks.length > 24 ? ' ...' : '');

export function comparePackets(expected: readonly GoldenPacket[], got: readonly Arrival[]): Difference {
  const lines = (all: readonly string[]) => (all.length === 0 ? 'nothing' : all.join(' | '));
  const isSame =
    expected.length === got.length && expected.every((packet, i) => comparePacket(packet, got[i]!));
  if (isSame) return undefined;
  const ours = got.map(({ at, octets, remark }) => `${at}: ${remark ?? summary(dissect(octets!))}`);
  const theirs = expected.map(({ at, sum }) => `${at}: ${sum}`);
  const told = lines(theirs) === lines(ours) ? octetsThatDiffer(expected, got) : '';
  return differ('packets ', lines(theirs), lines(ours) + told);
}

function octetsThatDiffer(expected: readonly GoldenPacket[], got: readonly Arrival[]): string {
  const i = expected.findIndex((packet, place) => !comparePacket(packet, got[place]!));
  return ` (octets ${expected[i]?.hex} / ${got[i]?.octets?.toString('hex')})`;
}

function comparePacket(expected: GoldenPacket, { at, octets, remark }: Arrival): boolean {
  if (expected.at !== at) return false;
  if (expected.hex === undefined || octets === undefined) return expected.sum === remark;
  const recorded = Buffer.from(expected.hex, 'hex');
  if (recorded.equals(octets)) return true;
  if (recorded.length !== octets.length) return false;
  const it = dissect(recorded);
  return it !== undefined && blur(recorded, it).equals(blur(octets, it));
}

/** Addresses that packets of the director's own making come from. */
const OWN = ['10.0.0.1', '10.1.0.1', 'fd00::1', 'fd01::1'];

/** Offset of the fragment header of an IPv6 packet, 0 where there is none. */
function fragmentHeader(octets: Buffer): number {
  let [protocol, at] = [octets[6]!, 40];
  while ([0, 43, 60].includes(protocol) && at + 8 <= octets.length)
    [protocol, at] = [octets[at]!, at + (octets[at + 1]! + 1) * 8];
  return protocol === 44 && at + 8 <= octets.length ? at : 0;
}

/** The octets without what no two runs have alike, as far as the recorded packet has such fields. */
function blur(octets: Buffer, recorded: Dissection): Buffer {
  const copy = Buffer.from(octets);
  blurTimes(copy);
  const isV4 = recorded.version === 4;
  const fragment6 = isV4 ? 0 : fragmentHeader(octets);
  const transport = isV4 ? (octets[0]! & 15) * 4 : fragment6 > 0 ? fragment6 + 8 : 40;
  const isTunnel = OWN.includes(recorded.src) && recorded.ttl !== OWN_TTL;
  const isFromStack = recorded.ttl === OWN_TTL;
  // Identification and header checksum of IPv4 packets that the director makes; 0 is no random number.
  const isOwnError = recorded.protocol === 1 && (isFromStack || recorded.tos >> 5 === INTERNET_CONTROL);
  if (isV4 && recorded.id !== 0 && (isTunnel || isOwnError)) {
    copy.fill(0, 4, 6);
    copy.fill(0, 10, 12);
  }
  // Flow labels are drawn at random (RFC 6437), and so are identifications, also where fragments are made again.
  if (!isV4 && (isTunnel || isFromStack)) copy.writeUInt32BE((copy.readUInt32BE(0) & 0xfff00000) >>> 0, 0);
  if (fragment6 > 0) copy.fill(0, fragment6 + 4, fragment6 + 8);
  if (recorded.protocol === 17 && recorded.dstPort === GUE_PORT) {
    copy.fill(0, transport, transport + 2);
    if (octets.readUInt16BE(transport + 6) !== 0) copy.fill(0, transport + 6, transport + 8);
  }
  // The times of a timestamp reply (RFC 792), and its checksum with them.
  if (isFromStack && recorded.protocol === 1 && recorded.type === 14) {
    copy.fill(0, transport + 2, transport + 4);
    copy.fill(0, transport + 12, transport + 20);
  }
  if (isFromStack && recorded.protocol === 6 && ((recorded.flags ?? 0) & 6) !== 0) {
    copy.fill(0, transport + 4, transport + 8);
    copy.fill(0, transport + 16, transport + 18);
  }
  return copy;
}

/** Two listings; connections in any order and with some slack in their timeouts. `unsorted`: services in any order. */
export function compareText(expected: string, got: string, unsorted = false): Difference {
  if (expected === got || (unsorted && inOrder(expected) === inOrder(got))) return undefined;
  const isConnections = /^IPVS connection entries|^Pro FromIP/.test(expected);
  if (isConnections) return compareConnections(expected, got);
  const [theirs, ours] = [expected.split('\n'), got.split('\n')];
  const at = theirs.findIndex((line, i) => line !== ours[i]);
  if (at < 0) return `expected ${theirs.length} lines got ${ours.length}, more: ${ours[theirs.length]}`;
  return `line ${at + 1}: ${differ('', `«${theirs[at]}»`, ours[at] === undefined ? 'no more lines' : `«${ours[at]}»`)}`;
}

/** The services of a listing, each with its destinations, in one certain order. */
const inOrder = (listing: string): string =>
  listing
    .replace(/\n$/, '')
    .split(/\n(?=(?:TCP|UDP|SCTP|FWM) )/)
    .sort()
    .join('\n');

interface ConnectionLine {
  /** The line without its timeout. */
  readonly rest: string;
  /** s */
  readonly expires: number;
}

function connectionLine(line: string): ConnectionLine {
  const listed = /^(\S+ +)(\d+):(\d\d)( .*)$/.exec(line);
  if (listed) return { rest: listed[1]! + listed[4]!, expires: Number(listed[2]) * 60 + Number(listed[3]) };
  // Seven fields, the state, perhaps the origin; after the timeout, what a persistence engine found. The timeout is aligned to the right.
  const proc = /^((?:\S+ +){7}\S+(?: +(?:LOCAL|SYNC))?) +(\d+)( .*)?$/.exec(line);
  return proc
    ? { rest: proc[1]! + (proc[3] ?? ''), expires: Number(proc[2]) }
    : { rest: line, expires: Number.NaN };
}

/** Rows with the client's port 0, of ipvsadm and of /proc, with or without their timeout. */
const TEMPLATE = /^\S+ +(?:\d+:\d\d)? +\S+ +\S+:0 |^\S+ +[\dA-Fa-f:]+ 0000 /;

/** One whose time is over, or a template that outlives its connections: for 60 s each time its timer runs out, late. */
const mayBeGone = ({ rest, expires }: ConnectionLine): boolean =>
  expires === 0 || (expires <= EXTENSION && TEMPLATE.test(rest));

/** Column of a listing's addresses. */
const ADDRESS_WIDTH = 19;

/** A client with an IPv4-mapped address is listed here as that of IPv4 (docs/ipvsadm.md). */
const asListedHere = (line: string): string =>
  line.replace(/\[::ffff:([\d.]+)\](:\d+) */, (_, address: string, port: string) =>
    `${address}${port}`.padEnd(ADDRESS_WIDTH),
  );

function compareConnections(expected: string, got: string): Difference {
  const left = got.split('\n').map(connectionLine);
  for (const recorded of expected.split('\n')) {
    const line = asListedHere(recorded);
    const wanted = connectionLine(line);
    const isTemplate = TEMPLATE.test(line);
    const isLong = wanted.expires > SHORT || /ESTABLISHED/.test(line);
    const slack = isLong ? LONG_SLACK : isTemplate ? TEMPLATE_SLACK : SLACK;
    const isIt = (ours: ConnectionLine) =>
      ours.rest === wanted.rest &&
      (Number.isNaN(wanted.expires)
        ? Number.isNaN(ours.expires)
        : Math.abs(ours.expires - wanted.expires) <= slack);
    const at = left.findIndex(isIt);
    if (at >= 0) left.splice(at, 1);
    else if (!mayBeGone(wanted)) {
      const like = left.find(({ rest }) => rest === wanted.rest);
      const near = like && `${Math.floor(like.expires / 60)}:${like.expires % 60} left`;
      return differ('', `«${line}»`, near ?? `no such line among ${left.map(({ rest }) => rest).join('; ')}`);
    }
  }
  const extra = left.find((line) => line.rest !== '' && !mayBeGone(line));
  return extra && `expected no «${extra.rest}» (${extra.expires} s)`;
}
