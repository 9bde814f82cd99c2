/** What a packet is, and the one line that the recordings say about it. */
import { formatAddress } from '../../src/wire/address.ts';
import { checksum, formatEndpoint, transportChecksum } from './octets.ts';

/** The fields that the recordings speak of; a field is missing where the octets end before it. */
export interface Dissection {
  readonly version: 4 | 6;
  readonly tos: number;
  /** Total length of IPv4, payload length of IPv6: as the header says. */
  readonly length: number;
  readonly ttl: number;
  protocol: number;
  readonly src: string;
  readonly dst: string;
  id?: number;
  df?: boolean;
  moreFragments: boolean;
  offset: number;
  headerSum?: 'ok' | 'BAD';
  srcPort?: number;
  dstPort?: number;
  sequence?: number;
  acknowledgement?: number;
  flags?: number;
  payload?: Buffer;
  chunk?: number;
  type?: number;
  code?: number;
  rest?: number;
  sum?: 'ok' | 'BAD' | 'none';
  gre?: string;
  gue?: string;
  inner?: Dissection | undefined;
}

const FLAGS: readonly (readonly [string, number])[] = [
  ['S', 2],
  ['F', 1],
  ['R', 4],
  ['P', 8],
  ['A', 16],
  ['U', 32],
];
const NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  4: 'ipip',
  6: 'tcp',
  17: 'udp',
  41: 'ip6',
  47: 'gre',
  58: 'icmp6',
  132: 'sctp',
};
const EXTENSIONS = [0, 43, 44, 60];
const GUE_PORT = 6080;

function address(octets: Buffer, at: number, length: 4 | 16): string {
  const word = (i: number) => octets.readUInt32BE(at + 4 * i);
  return formatAddress(
    length === 4 ? Uint32Array.of(0, 0, 0xffff, word(0)) : Uint32Array.of(word(0), word(1), word(2), word(3)),
  );
}

/** undefined for what is no IP packet. */
export function dissect(octets: Buffer): Dissection | undefined {
  const version = octets.length > 0 ? octets[0]! >> 4 : 0;
  if (version === 4 && octets.length >= 20) return dissectV4(octets);
  if (version === 6 && octets.length >= 40) return dissectV6(octets);
  return undefined;
}

function dissectV4(octets: Buffer): Dissection {
  const headerLength = (octets[0]! & 15) * 4;
  const fragment = octets.readUInt16BE(6);
  const it: Dissection = {
    version: 4,
    tos: octets[1]!,
    length: octets.readUInt16BE(2),
    ttl: octets[8]!,
    protocol: octets[9]!,
    src: address(octets, 12, 4),
    dst: address(octets, 16, 4),
    id: octets.readUInt16BE(4),
    df: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    offset: (fragment & 0x1fff) * 8,
    headerSum: checksum(octets.subarray(0, headerLength)) === 0 ? 'ok' : 'BAD',
  };
  transport(it, octets.subarray(headerLength, it.length));
  return it;
}

function dissectV6(octets: Buffer): Dissection {
  const length = octets.readUInt16BE(4);
  const it: Dissection = {
    version: 6,
    tos: ((octets[0]! & 15) << 4) | (octets[1]! >> 4),
    length,
    ttl: octets[7]!,
    protocol: octets[6]!,
    src: address(octets, 8, 16),
    dst: address(octets, 24, 16),
    moreFragments: false,
    offset: 0,
  };
  let body = octets.subarray(40, 40 + length);
  while (EXTENSIONS.includes(it.protocol) && body.length >= 8) {
    const isFragment = it.protocol === 44;
    if (isFragment) {
      it.offset = body.readUInt16BE(2) & 0xfff8;
      it.moreFragments = (body[3]! & 1) !== 0;
    }
    it.protocol = body[0]!;
    body = body.subarray(isFragment ? 8 : (body[1]! + 1) * 8);
    if (isFragment && it.offset > 0) break;
  }
  transport(it, body);
  return it;
}

function transport(it: Dissection, body: Buffer): void {
  if (it.offset > 0) return;
  if (it.protocol === 6 && body.length >= 12) tcp(it, body);
  else if (it.protocol === 17 && body.length >= 4) udp(it, body);
  else if (it.protocol === 132 && body.length >= 4) {
    it.srcPort = body.readUInt16BE(0);
    it.dstPort = body.readUInt16BE(2);
    if (body.length > 12) it.chunk = body[12]!;
  } else if ((it.protocol === 1 || it.protocol === 58) && body.length >= 8) icmp(it, body);
  else if (it.protocol === 4 || it.protocol === 41) it.inner = dissect(body);
  else if (it.protocol === 47) {
    it.gre = body.subarray(0, 4).toString('hex');
    it.inner = dissect(body.subarray(4 + ((body[0]! & 0x80) !== 0 ? 4 : 0)));
  }
}

function tcp(it: Dissection, body: Buffer): void {
  it.srcPort = body.readUInt16BE(0);
  it.dstPort = body.readUInt16BE(2);
  it.sequence = body.readUInt32BE(4);
  it.acknowledgement = body.readUInt32BE(8);
  if (body.length < 14) return;
  it.flags = body[13]!;
  it.payload = body.subarray((body[12]! >> 4) * 4);
  if (!it.moreFragments) it.sum = transportChecksum(it.src, it.dst, 6, body) === 0 ? 'ok' : 'BAD';
}

function udp(it: Dissection, body: Buffer): void {
  it.srcPort = body.readUInt16BE(0);
  it.dstPort = body.readUInt16BE(2);
  const payload = body.subarray(8);
  it.payload = payload;
  if (it.dstPort === GUE_PORT && payload.length > 24 && (payload[1] === 4 || payload[1] === 41)) {
    const length = 4 + 4 * (payload[0]! & 31);
    it.gue = payload.subarray(0, length).toString('hex');
    it.inner = dissect(payload.subarray(length));
  }
  if (it.moreFragments) return;
  if (body.length < 8) it.sum = 'BAD';
  else if (body.readUInt16BE(6) === 0) it.sum = 'none';
  else it.sum = transportChecksum(it.src, it.dst, 17, body) === 0 ? 'ok' : 'BAD';
}

function icmp(it: Dissection, body: Buffer): void {
  it.type = body[0]!;
  it.code = body[1]!;
  it.rest = body.readUInt32BE(4);
  const sum = it.protocol === 1 ? checksum(body) : transportChecksum(it.src, it.dst, 58, body);
  it.sum = sum === 0 ? 'ok' : 'BAD';
  const isError = it.protocol === 1 ? [3, 4, 5, 11, 12].includes(it.type) : it.type < 128;
  if (isError) it.inner = dissect(body.subarray(8));
}

/** The recordings' line about a packet. */
export function summary(it: Dissection | undefined): string {
  if (!it) return '?';
  const words = [NAMES[it.protocol] ?? String(it.protocol)];
  if (it.srcPort === undefined) words.push(`${it.src}>${it.dst}`);
  else {
    const from = formatEndpoint({ address: it.src, port: it.srcPort });
    words.push(`${from}>${formatEndpoint({ address: it.dst, port: it.dstPort! })}`);
  }
  if (it.flags !== undefined) {
    const { flags } = it;
    words.push(FLAGS.map(([name, bit]) => ((flags & bit) !== 0 ? name : '')).join(''));
    words.push(`seq=${it.sequence}`, `ack=${it.acknowledgement}`);
  }
  if (it.chunk !== undefined) words.push(`chunk=${it.chunk}`);
  if (it.type !== undefined)
    words.push(`type=${it.type}`, `code=${it.code}`, `rest=0x${it.rest!.toString(16)}`);
  if (it.payload && it.payload.length > 0) words.push(`pl=${it.payload.length}`);
  words.push(`ttl=${it.ttl}`, `len=${it.length}`);
  if (it.version === 4) words.push(`id=0x${it.id!.toString(16)}`, `df=${it.df ? 1 : 0}`);
  if (it.tos !== 0) words.push(`tos=0x${it.tos.toString(16)}`);
  if (it.moreFragments || it.offset > 0) words.push(`frag(off=${it.offset},mf=${it.moreFragments ? 1 : 0})`);
  if (it.headerSum === 'BAD') words.push('IPSUM-BAD');
  if (it.sum !== undefined && it.sum !== 'ok') words.push(`L4SUM-${it.sum}`);
  if (it.gre !== undefined) words.push(`gre=${it.gre}`);
  if (it.gue !== undefined) words.push(`gue=${it.gue}`);
  if (it.inner) words.push(`{${summary(it.inner)}}`);
  return words.join(' ');
}
