/** Programs: loaded, or refused with what the verifier said. */

import { SLOT } from './assemble.ts';
import { type Bpf, refused, setName, setUint64 } from './bpf.ts';

/** Types (enum bpf_prog_type in include/uapi/linux/bpf.h). */
const PROGRAM_TYPES = { schedulerClassifier: 3, xdp: 6 } as const;
export type ProgramType = keyof typeof PROGRAM_TYPES;

/* Offsets in union bpf_attr. */
const LOAD = {
  type: 0,
  count: 4,
  instructions: 8,
  license: 16,
  logLevel: 24,
  logSize: 28,
  log: 32,
  flags: 44,
  name: 48,
  attachType: 68,
  size: 128,
} as const;

/** Octets of the verifier's log that are kept: its end tells why. */
const LOG = 8 * 1024 * 1024;

/** The verifier gives up when a signal waits for the process (include/uapi/asm-generic/errno-base.h): so many times more. */
const EAGAIN = 11;
const AGAIN = 5;

/** The kernel refused a program. The message is the verifier's last word; `log` is all of it. */
export class VerifierError extends Error {
  readonly log: readonly string[];

  constructor(program: string, log: readonly string[], cause: Error) {
    super(`${program}: ${lastWords(log) ?? cause.message}`, { cause });
    this.name = 'VerifierError';
    this.log = log;
  }
}

/** What the log says in the end, statistics apart. */
function lastWords(log: readonly string[]): string | undefined {
  return log.findLast(
    (line) => line.trim() !== '' && !/^(processed|verification time|stack depth) /.test(line),
  );
}

export interface ProgramOptions {
  readonly type: ProgramType;
  readonly name: string;
  /** As `assemble` makes them. */
  readonly code: Uint8Array;
  /** Some helpers are only for a licence that is compatible with the GPL, by its name in Linux's license.h. */
  readonly license?: string;
  readonly attachType?: number;
  readonly flags?: number;
}

export class Program implements Disposable {
  readonly name: string;
  readonly descriptor: number;
  readonly #bpf: Bpf;

  /** Throws VerifierError. */
  constructor(bpf: Bpf, options: ProgramOptions) {
    this.#bpf = bpf;
    this.name = options.name;
    // The log costs time, so it is only asked for when there is something to tell.
    let descriptor = load(bpf, options, 0, 0);
    for (let again = 0; descriptor === -EAGAIN && again < AGAIN; again++)
      descriptor = load(bpf, options, 0, 0);
    if (descriptor < 0) throw explained(bpf, options, descriptor);
    this.descriptor = descriptor;
  }

  /** Gives the descriptor back; links and program arrays that have the program keep it. */
  [Symbol.dispose](): void {
    this.#bpf.system.close(this.descriptor);
  }
}

function load(bpf: Bpf, options: ProgramOptions, log: number, logSize: number): number {
  const { type, name, code, license = 'MIT', attachType = 0, flags = 0 } = options;
  return bpf.lendText(license, (licensed) =>
    bpf.lendCopy(code, (instructions) =>
      bpf.try('PROG_LOAD', LOAD.size, (attributes) => {
        attributes.setUint32(LOAD.type, PROGRAM_TYPES[type], true);
        attributes.setUint32(LOAD.count, code.length / SLOT, true);
        setUint64(attributes, LOAD.instructions, instructions.address);
        setUint64(attributes, LOAD.license, licensed.address);
        attributes.setUint32(LOAD.logLevel, log === 0 ? 0 : 1, true);
        attributes.setUint32(LOAD.logSize, logSize, true);
        setUint64(attributes, LOAD.log, log);
        attributes.setUint32(LOAD.flags, flags, true);
        setName(attributes, LOAD.name, name);
        attributes.setUint32(LOAD.attachType, attachType, true);
      }),
    ),
  );
}

function explained(bpf: Bpf, options: ProgramOptions, result: number): VerifierError {
  return bpf.arena.lend(LOG, (log) => {
    const again = load(bpf, options, log.address, LOG);
    if (again >= 0) bpf.system.close(again);
    const text = Buffer.from(log.bytes.subarray(0, log.bytes.indexOf(0))).toString('utf8');
    const lines = text === '' ? [] : text.trimEnd().split('\n');
    return new VerifierError(options.name, lines, refused('PROG_LOAD', result));
  });
}
