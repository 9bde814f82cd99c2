/** Loads the programs of schedulers when services need them. */
import { VerifierError } from '../../ebpf/program.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { SCHEDULER } from '../../table/record-layout.ts';
import type { ProgramTable } from '../program-table.ts';
import { type ProgrammedScheduler, type ScheduleParts, scheduleCode } from './program.ts';

export class SchedulerPrograms {
  readonly #programs: Pick<ProgramTable, 'load'>;
  readonly #parts: ScheduleParts;
  /** Schedulers whose programs were loaded, or refused by the kernel. */
  readonly #known = new Set<string>();
  readonly #loaded = new Set<string>();

  constructor(programs: Pick<ProgramTable, 'load'>, parts: ScheduleParts) {
    this.#programs = programs;
    this.#parts = parts;
  }

  /** Reports whether the scheduler's program was loaded. */
  has(scheduler: string): boolean {
    return this.#loaded.has(scheduler);
  }

  /**
   * Loads the scheduler's program unless it was loaded or the verifier refused it; nothing if the scheduler has none. Throws
   * VerifierError and SystemCallError: the director selects then.
   */
  load(scheduler: string): void {
    if (this.#known.has(scheduler) || !isProgrammed(scheduler)) return;
    const code = scheduleCode(scheduler, this.#parts);
    try {
      this.#programs.load(SCHEDULER[scheduler], `lvs_${scheduler}`, code);
    } catch (error) {
      if (isFinal(error)) this.#known.add(scheduler);
      throw error;
    }
    this.#known.add(scheduler);
    this.#loaded.add(scheduler);
  }
}

const isProgrammed = (scheduler: string): scheduler is ProgrammedScheduler =>
  scheduler !== 'director' && Object.hasOwn(SCHEDULER, scheduler);

/** Errors of a moment: a signal was pending, or memory was short. */
const TRANSIENT = ['EAGAIN', 'ENOMEM'];

/** Reports whether the kernel would refuse the program again. */
const isFinal = (error: unknown): boolean =>
  error instanceof VerifierError &&
  !(error.cause instanceof SystemCallError && TRANSIENT.includes(error.cause.code));
