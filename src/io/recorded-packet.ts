/** Reads one IP packet from a pcap or pcapng file, by its number in tcpdump and Wireshark. */
import { readFileSync } from 'node:fs';
import { LvsError } from '../model/errors.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet } from '../wire/ethernet.ts';
import { Frame } from '../wire/frame.ts';
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_IPV4,
  LINKTYPE_IPV6,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_RAW,
  PcapFileError,
  readPcap,
  readPcapHeader,
} from '../wire/pcap-file.ts';
import { isPcapng, type PcapngPacket, readPcapng } from '../wire/pcapng-file.ts';

/**
 * "Linux cooked" headers of `tcpdump -i any`: bytes, and the offset of the EtherType (tcpdump's registry).
 */
const COOKED: Readonly<Record<number, { readonly length: number; readonly type: number }>> = {
  [LINKTYPE_LINUX_SLL]: { length: 16, type: 14 },
  [LINKTYPE_LINUX_SLL2]: { length: 20, type: 0 },
};
const IP_ONLY: readonly number[] = [LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6];

/** Returns the packet. Throws LvsError CONFIG when it does not exist. `number`: from 1. */
export function packetOfFile(path: string, number: number): Uint8Array {
  const fault = (what: string) => new LvsError('CONFIG', `${path}: ${what}`);
  try {
    let count = 0;
    for (const { octets, originalLength, linkType } of packetsOf(readFileSync(path))) {
      if (++count < number) continue;
      if (octets.length < originalLength)
        throw fault(`packet ${number} is truncated: only ${octets.length} bytes were captured`);
      if (!isKnown(linkType)) throw fault(`link type ${linkType} is not supported`);
      const packet = ipOf(octets, linkType);
      if (packet) return packet;
      throw fault(`packet ${number} is not an IP packet`);
    }
    throw fault(`packet ${number} not found: the file has ${count} packets`);
  } catch (error) {
    if (error instanceof LvsError) throw error;
    if (error instanceof PcapFileError || (error instanceof Error && 'code' in error))
      throw fault(error.message);
    throw error;
  }
}

function* packetsOf(file: Uint8Array): Generator<PcapngPacket> {
  if (isPcapng(file)) return yield* readPcapng(file);
  const { linkType } = readPcapHeader(file);
  for (const { octets, originalLength } of readPcap(file)) yield { octets, originalLength, linkType };
}

const isKnown = (linkType: number): boolean =>
  linkType === LINKTYPE_ETHERNET || IP_ONLY.includes(linkType) || COOKED[linkType] !== undefined;

const isIp = (etherType: number): boolean => etherType === ETHERTYPE_IPV4 || etherType === ETHERTYPE_IPV6;

function ipOf(octets: Uint8Array, linkType: number): Uint8Array | undefined {
  if (IP_ONLY.includes(linkType)) return octets;
  const frame = new Frame();
  if (!frame.load(octets)) return undefined;
  const { view, start, end } = frame;
  const cooked = COOKED[linkType];
  const length = cooked ? cooked.length : ethernet.headerLength(frame, start, end);
  if (length < 0 || octets.length < length) return undefined;
  const type = cooked ? view.getUint16(start + cooked.type) : ethernet.etherType(frame, start, length);
  return isIp(type) ? octets.subarray(length) : undefined;
}
