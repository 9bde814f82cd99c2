/** One connection, or one persistence template, as a synchronization message describes it. */
import type { Address } from '../wire/address.ts';

/* Flags of include/uapi/linux/ip_vs.h (Linux 6.1) that only messages have. */
/** Sequence numbers of requests, or of replies, are changed: the entry has `sequences`. */
export const SEQUENCES = 0x600;
/** Those of replies are (IP_VS_CONN_F_OUT_SEQ). */
export const REPLY_SEQUENCES = 0x200;
/** Place in `sequences` of the change of replies after the first number, and of the change before it. */
export const REPLY_SHIFT = 4;
export const FORMER_REPLY_SHIFT = 5;

/** The connection is known to the kernel's connection tracking (conntrack); 16 bits of version 0 do not hold it. */
export const TRACKED = 0x1_0000;

/** What a version of the protocol does not carry is 0, or undefined. Reused for all entries of a message. */
export class SyncEntry {
  family: 4 | 6 = 4;
  /** IP protocol number; 0 of a template of a firewall mark. */
  protocol = 0;
  /** Of include/uapi/linux/ip_vs.h. */
  flags = 0;
  /** State of the protocol, or of the template. */
  state = 0;
  cport = 0;
  vport = 0;
  dport = 0;
  /** Firewall mark of the service; 0: none. */
  mark = 0;
  /** Timeout in seconds; 0: that of the state. */
  timeout = 0;
  /** What is left of the timeout, ms; undefined: not known. Only bulk transfers have it. */
  remaining: number | undefined;
  readonly caddr: Address = new Uint32Array(4);
  readonly vaddr: Address = new Uint32Array(4);
  readonly daddr: Address = new Uint32Array(4);
  /**
   * With flags of SEQUENCES: first sequence number, change after it and change before it, of requests and then of replies.
   */
  readonly sequences = new Uint32Array(6);
  /** Name of the persistence engine of a template. */
  engine: string | undefined;
  /** The engine's key, one character per byte. */
  engineData: string | undefined;
}
