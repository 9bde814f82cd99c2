/** Loads programs; a program that the verifier refuses is an error with the verifier's log. */

import { SLOT } from './assemble.ts';
import { type Bpf, refused, setName, setUint64 } from './bpf.ts';
import { FUNCTION_INFO_BYTES, functionInfo, functionsOf, loadTypes } from './functions.ts';

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
  types: 72,
  functionBytes: 76,
  functions: 80,
  functionCount: 88,
  size: 128,
} as const;

/** Bytes of the verifier's log; the reason is at its end. */
const LOG_BYTES = 8 * 1024 * 1024;

/** The verifier stops with EAGAIN (include/uapi/asm-generic/errno-base.h) when a signal is pending: so many retries. */
const EAGAIN = 11;
const MAX_RETRIES = 5;

/** The kernel refused a program. The message has the last line of the verifier's log, `log` all of it. */
export class VerifierError extends Error {
  readonly log: readonly string[];

  constructor(program: string, log: readonly string[], cause: Error) {
    super(`${program}: ${lastLine(log) ?? cause.message}`, { cause });
    this.name = 'VerifierError';
    this.log = log;
  }
}

/** Returns the last line of the log, statistics apart. */
function lastLine(log: readonly string[]): string | undefined {
  return log.findLast(
    (line) => line.trim() !== '' && !/^(processed|verification time|stack depth) /.test(line),
  );
}

export interface ProgramOptions {
  readonly type: ProgramType;
  readonly name: string;
  /** As `assemble` returns them. */
  readonly code: Uint8Array;
  /** License of the program as Linux's license.h names it: some helpers require one that is compatible with the GPL. */
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
    // Writing the log takes time, so it is requested only after a failure.
    let descriptor = load(bpf, options, 0, 0);
    for (let again = 0; descriptor === -EAGAIN && again < MAX_RETRIES; again++)
      descriptor = load(bpf, options, 0, 0);
    if (descriptor < 0) throw explained(bpf, options, descriptor);
    this.descriptor = descriptor;
  }

  /** Closes the descriptor; links, filters and program arrays that have the program keep it. */
  [Symbol.dispose](): void {
    this.#bpf.system.close(this.descriptor);
  }
}

function load(bpf: Bpf, options: ProgramOptions, log: number, logSize: number): number {
  const functions = functionsOf(options.code);
  if (functions.length === 1) return loadWith(bpf, options, log, logSize, () => {});
  const types = loadTypes(bpf);
  try {
    return bpf.lendCopy(functionInfo(functions), ({ address }) =>
      loadWith(bpf, options, log, logSize, (attributes) => {
        attributes.setUint32(LOAD.types, types, true);
        attributes.setUint32(LOAD.functionBytes, FUNCTION_INFO_BYTES, true);
        setUint64(attributes, LOAD.functions, address);
        attributes.setUint32(LOAD.functionCount, functions.length, true);
      }),
    );
  } finally {
    bpf.system.close(types);
  }
}

function loadWith(
  bpf: Bpf,
  options: ProgramOptions,
  log: number,
  logSize: number,
  describe: (attributes: DataView) => void,
): number {
  const { type, name, code, license = 'MIT', attachType = 0, flags = 0 } = options;
  return bpf.lendText(license, (licensed) =>
    bpf.lendCopy(code, (instructions) =>
      bpf.try('PROG_LOAD', LOAD.size, (attributes) => {
        describe(attributes);
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
  return bpf.arena.lend(LOG_BYTES, (log) => {
    const again = load(bpf, options, log.address, LOG_BYTES);
    if (again >= 0) bpf.system.close(again);
    const text = Buffer.from(log.bytes.subarray(0, log.bytes.indexOf(0))).toString('utf8');
    const lines = text === '' ? [] : text.trimEnd().split('\n');
    return new VerifierError(options.name, lines, refused('PROG_LOAD', result));
  });
}
