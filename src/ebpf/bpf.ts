/** bpf(2): runs commands with their attributes in memory that does not move; errors name the command. */
import { Arena, type Block } from '../sys/memory.ts';
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';

/** Commands (enum bpf_cmd in include/uapi/linux/bpf.h). */
const COMMANDS = {
  MAP_CREATE: 0,
  MAP_LOOKUP_ELEM: 1,
  MAP_UPDATE_ELEM: 2,
  MAP_DELETE_ELEM: 3,
  PROG_LOAD: 5,
  OBJ_PIN: 6,
  OBJ_GET: 7,
  PROG_TEST_RUN: 10,
  OBJ_GET_INFO_BY_FD: 15,
  BTF_LOAD: 18,
  MAP_LOOKUP_BATCH: 24,
  MAP_LOOKUP_AND_DELETE_BATCH: 25,
  MAP_UPDATE_BATCH: 26,
  MAP_DELETE_BATCH: 27,
  LINK_CREATE: 28,
  LINK_UPDATE: 29,
} as const;
export type BpfCommand = keyof typeof COMMANDS;

/** Bytes of attributes: at least those of union bpf_attr in Linux 6.18. */
const ATTRIBUTES = 256;
/** Bytes for attributes, keys, values, programs and the verifier's log together. */
const ARENA = 32 * 1024 * 1024;

/** Writes a 64-bit number (an address) in the machine's byte order. */
export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

export class Bpf {
  readonly system: System;
  readonly arena: Arena;

  constructor(system: System) {
    this.system = system;
    this.arena = new Arena(system, ARENA);
  }

  /**
   * Runs a command and returns the kernel's result: 0 or more, or a negative errno. `fill` writes the attributes,
   * which are zero before, in the machine's byte order. `then` reads what the kernel wrote into them.
   */
  try(
    command: BpfCommand,
    size: number,
    fill: (attributes: DataView) => void,
    then?: (attributes: DataView) => void,
  ): number {
    return this.arena.lend(ATTRIBUTES, ({ address, view }) => {
      fill(view);
      const result = this.system.bpf(COMMANDS[command], address, size);
      then?.(view);
      return result;
    });
  }

  /** Runs a command as `try` does. Throws SystemCallError for a negative result. */
  call(
    command: BpfCommand,
    size: number,
    fill: (attributes: DataView) => void,
    then?: (attributes: DataView) => void,
  ): number {
    const result = this.try(command, size, fill, then);
    if (result < 0) throw refused(command, result);
    return result;
  }

  /** Lends `use` a copy of `octets` in memory that the kernel can read. */
  lendCopy<Result>(octets: Uint8Array, use: (block: Block) => Result): Result {
    return this.arena.lend(octets.length, (block) => {
      block.bytes.set(octets);
      return use(block);
    });
  }

  /** Lends `use` a text with its terminating zero. */
  lendText<Result>(text: string, use: (block: Block) => Result): Result {
    return this.lendCopy(Buffer.from(`${text}\0`), use);
  }
}

export const refused = (command: BpfCommand, result: number): SystemCallError =>
  new SystemCallError(`bpf(${command})`, -result);

/** Characters of the longest name of a map or a program (BPF_OBJ_NAME_LEN without the terminating zero). */
const NAME = 15;

/** Writes the name of a map or a program; the kernel accepts letters, digits, underscores and dots. */
export function setName(view: DataView, offset: number, name: string): void {
  const short = name.replaceAll(/[^\w.]/g, '_').slice(0, NAME);
  for (let i = 0; i < short.length; i++) view.setUint8(offset + i, short.charCodeAt(i));
}
