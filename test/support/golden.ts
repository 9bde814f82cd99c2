/** Recorded answers of the kernel's IPVS: a scenario and what came of each of its steps, in one file. */
import { readFileSync } from 'node:fs';

/** A packet that left the director. */
export interface GoldenPacket {
  /** Who got it: client, rs1, rs2, ...; oracle: a remark, and no packet. */
  readonly at: string;
  /** One line for readers. */
  readonly sum: string;
  /** From the IP header on. */
  readonly hex?: string;
}

export interface GoldenStep {
  readonly i: number;
  /** Seconds since the start. */
  readonly t: number;
  readonly step: string;
  readonly stdin?: string;
  readonly rc?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  /** Where the step's first packet went: rsN, icmp:type/code, rst or none. */
  readonly pick?: string;
  readonly picks?: readonly string[];
  /** Of a step with many flows: how often each pick came; `picks` then holds the first ones. */
  readonly pick_counts?: Readonly<Record<string, number>>;
  /** source>destination of each pick. */
  readonly flows?: readonly string[];
  readonly packets?: readonly GoldenPacket[];
}

export interface GoldenTopology {
  /** Number of real servers; 10.1.0.(10+i) is the i-th. */
  readonly rs?: number;
  readonly vips?: readonly string[];
  readonly vips6?: readonly string[];
  readonly mtu?: number;
  readonly rlan_mtu?: number | null;
  readonly sync?: boolean;
  readonly localnets?: readonly string[];
}

export interface Golden {
  readonly name: string;
  readonly desc?: string;
  readonly topology?: GoldenTopology;
  readonly steps: readonly GoldenStep[];
  /** Messages that the director's sync daemon sent: IP packets in hexadecimal. */
  readonly sync?: readonly { readonly t: number; readonly sum: string; readonly hex: string }[];
}

export const readGolden = (path: string): Golden => JSON.parse(readFileSync(path, 'utf8')) as Golden;

/** `address:port`, `[v6]:port` or a bare address, whose port is then 0. */
export function endpoint(text: string): { readonly address: string; readonly port: number } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed) return { address: bracketed[1]!, port: Number(bracketed[2] ?? 0) };
  const parts = text.split(':');
  if (parts.length > 2) return { address: text, port: 0 };
  return { address: parts[0]!, port: Number(parts[1] ?? 0) };
}
