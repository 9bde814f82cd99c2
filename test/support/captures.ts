/** The captures in test/fixtures: real kernels talking through a VIP, made by capture.ts. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ETHERNET_HEADER } from '../../src/wire/ethernet.ts';
import { LINKTYPE_ETHERNET, readPcap, readPcapHeader } from '../../src/wire/pcap-file.ts';
import { PROJECT } from './project.ts';

const FOLDER = join(PROJECT, 'test/fixtures');
/** Octets of the Linux cooked header. */
const COOKED_HEADER = 16;

export const captures: readonly string[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.pcap'))
  .sort();

export const captureFile = (name: string): Uint8Array => readFileSync(join(FOLDER, name));

/** The IP packets of a capture, without layer 2. */
export function capturedPackets(name: string): Uint8Array[] {
  const file = captureFile(name);
  const header = readPcapHeader(file).linkType === LINKTYPE_ETHERNET ? ETHERNET_HEADER : COOKED_HEADER;
  return [...readPcap(file)]
    .filter(({ octets }) => octets[header - 2] !== 0x08 || octets[header - 1] !== 0x06) // ARP
    .map(({ octets }) => octets.slice(header));
}
