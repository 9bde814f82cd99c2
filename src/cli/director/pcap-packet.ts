/** One IP packet out of a pcap or pcapng file, by its number as tcpdump and Wireshark count. */
import { readFileSync } from 'node:fs';
import { LvsError } from '../../model/errors.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet } from '../../wire/ethernet.ts';
import { Frame } from '../../wire/frame.ts';
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_RAW,
  PcapFileError,
  readPcap,
  readPcapHeader,
} from '../../wire/pcap-file.ts';
import { isPcapng, type PcapngPacket, readPcapng } from '../../wire/pcapng-file.ts';

/** Octets of the "Linux cooked" header (LINKTYPE_LINUX_SLL of the tcpdump registry). */
const COOKED_HEADER = 16;

/** Throws LvsError CONFIG where there is no such packet. `number`: from 1. */
export function packetOfFile(path: string, number: number): Uint8Array {
  const fault = (what: string) => new LvsError('CONFIG', `${path}: ${what}`);
  try {
    let count = 0;
    for (const { octets, originalLength, linkType } of packetsOf(readFileSync(path))) {
      if (++count < number) continue;
      if (octets.length < originalLength)
        throw fault(`of packet ${number} only ${octets.length} octets were captured`);
      const packet = ipOf(octets, linkType);
      if (packet) return packet;
      throw fault(`packet ${number} is no IP packet`);
    }
    throw fault(`there are ${count} packets, and none with number ${number}`);
  } catch (error) {
    if (error instanceof PcapFileError) throw fault(error.message);
    if (error instanceof Error && 'syscall' in error) throw fault(error.message);
    throw error;
  }
}

function* packetsOf(file: Uint8Array): Generator<PcapngPacket> {
  if (isPcapng(file)) return yield* readPcapng(file);
  const { linkType } = readPcapHeader(file);
  for (const { octets, originalLength } of readPcap(file)) yield { octets, originalLength, linkType };
}

function ipOf(octets: Uint8Array, linkType: number): Uint8Array | undefined {
  if (linkType === LINKTYPE_RAW) return octets;
  if (linkType === LINKTYPE_LINUX_SLL) return octets.subarray(COOKED_HEADER);
  if (linkType !== LINKTYPE_ETHERNET) return undefined;
  const frame = new Frame();
  if (!frame.load(octets)) return undefined;
  const length = ethernet.headerLength(frame, frame.start, frame.end);
  if (length < 0) return undefined;
  const type = ethernet.etherType(frame, frame.start, length);
  return type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6 ? octets.subarray(length) : undefined;
}
