/** What this server says of its capacity, in the words of HAProxy's agent-check: from a file, a program, or its load. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { parseAgentReport } from '../../checks/agent-probe.ts';
import type { AgentReport } from '../../checks/probe.ts';
import { runProgram } from '../../checks/run-program.ts';
import { percentOf, stepTowards } from '../agent-check.ts';

const MAX_BYTES = 1024;
/** ms between two runs of the program, and after which it is ended. */
const PROGRAM_PERIOD_MS = 1000;
const PROGRAM_TIMEOUT_MS = 3000;
const FULL_PERCENT = 100;

export interface WordsOptions {
  /** Path of a file, whose first line is read again for each heartbeat. */
  readonly file?: string;
  /** A program, whose first line of output counts. */
  readonly program?: string;
  /** Called with the problem when the words cannot be had, and with undefined when they can be had again. */
  readonly failed: (problem: string | undefined) => void;
}

/** What the words mean. */
export interface Capacity {
  /** False: the server is not ready, or nothing is known of it yet. */
  readonly isReady: boolean;
  readonly isDraining: boolean;
  /** Of the weight. */
  readonly percent: number;
}

const UNKNOWN: Capacity = { isReady: false, isDraining: false, percent: FULL_PERCENT };

export class AgentWords implements Disposable {
  readonly #options: WordsOptions;
  #capacity = UNKNOWN;
  #problem: string | undefined;
  #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WordsOptions) {
    this.#options = options;
    if (options.program !== undefined) void this.#run(options.program);
  }

  /** Returns what is known now. What cannot be read leaves the former capacity. */
  get capacity(): Capacity {
    const { file, program } = this.#options;
    if (file !== undefined) this.#readFile(file);
    else if (program === undefined) {
      const percent = percentOf(loadavg()[0]!, availableParallelism());
      this.#capacity = {
        ...{ isReady: true, isDraining: false },
        percent: stepTowards(this.#capacity.percent, percent),
      };
    }
    return this.#capacity;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #readFile(path: string): void {
    try {
      this.#take(firstBytes(path), path);
    } catch (error) {
      this.#report((error as Error).message);
    }
  }

  async #run(program: string): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(PROGRAM_TIMEOUT_MS)]);
    const result = await runProgram([program], { env: process.env, signal });
    if (this.#abort.signal.aborted) return;
    if (result.status === 0) this.#take(result.stdout.slice(0, MAX_BYTES), program);
    else this.#report(`${program}: ${reasonOf(result)}`);
    this.#timer = setTimeout(() => void this.#run(program), PROGRAM_PERIOD_MS);
  }

  #take(text: string, source: string): void {
    const line = text.split(/[\r\n]/)[0]!;
    const report = parseAgentReport(line);
    if (report) this.#capacity = after(this.#capacity, report);
    this.#report(report ? undefined : `${source}: expected words such as 'up ready 75%', not '${line}'`);
  }

  #report(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.failed(problem);
  }
}

/** What is not reported stays; a first report without `down` means that the server is ready. */
const after = (before: Capacity, { health, admin, percent }: AgentReport): Capacity => ({
  isReady: health === undefined ? before.isReady || before === UNKNOWN : health === 'up',
  isDraining: admin === undefined ? before.isDraining : admin === 'drain',
  percent: percent ?? before.percent,
});

function reasonOf({ status, endedBy, error }: Awaited<ReturnType<typeof runProgram>>): string {
  if (status !== undefined) return `exit status ${status}`;
  if (endedBy !== undefined) return `ended by ${endedBy}`;
  return error instanceof Error ? error.message : 'it takes longer than 3 s';
}

/** Reads the beginning of a regular file. Does not wait for the writer of a FIFO. Throws a system error, or an Error. */
function firstBytes(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) throw new Error(`${path}: not a regular file`);
    const bytes = Buffer.alloc(MAX_BYTES);
    return bytes.toString('latin1', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}
