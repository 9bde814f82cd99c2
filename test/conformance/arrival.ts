/** What arrives at the ends of the wires, and the one word that the recordings have for it. */
import { dissect, summary } from './dissect.ts';

/** A packet that arrived at an end of the wires; without octets it is a remark or no IP packet. */
export interface Arrival {
  /** client, rs1, rs2, ...; oracle: a remark. */
  readonly at: string;
  readonly octets?: Buffer;
  readonly remark?: string;
}

/** Sends a packet into the director's host, and returns the packets that arrived as a result. */
export type Wire = (from: string, octets: Buffer) => Arrival[];

const TCP = 6;
const RST = 4;

/** What became of a packet, in one word: the real server that got it, an ICMP answer, a reset, or nothing. */
export function pickOf(arrivals: readonly Arrival[]): string {
  for (const { at } of arrivals) if (at.startsWith('rs')) return at;
  for (const { octets } of arrivals) {
    const it = octets && dissect(octets);
    if (it?.type !== undefined) return `icmp:${it.type}/${it.code}`;
    if (it?.protocol === TCP && ((it.flags ?? 0) & RST) !== 0) return 'rst';
  }
  const [first] = arrivals;
  return first === undefined ? 'none' : (first.remark ?? summary(dissect(first.octets!)));
}
