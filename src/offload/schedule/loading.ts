/** Loads the programs of schedulers when services need them. */
import { SCHEDULER } from '../../table/record-layout.ts';
import type { ProgramTable } from '../program-table.ts';
import { type ProgrammedScheduler, type ScheduleParts, scheduleCode } from './program.ts';

export class SchedulerPrograms {
  readonly #programs: Pick<ProgramTable, 'load'>;
  readonly #parts: ScheduleParts;
  /** Schedulers whose programs were loaded, or refused by the kernel. */
  readonly #known = new Set<string>();

  constructor(programs: Pick<ProgramTable, 'load'>, parts: ScheduleParts) {
    this.#programs = programs;
    this.#parts = parts;
  }

  /**
   * Loads the scheduler's program, at the first call only; nothing if the scheduler has none. Throws VerifierError and
   * SystemCallError: the director selects then.
   */
  load(scheduler: string): void {
    if (this.#known.has(scheduler)) return;
    this.#known.add(scheduler);
    if (!isProgrammed(scheduler)) return;
    const code = scheduleCode(scheduler, this.#parts);
    this.#programs.load(SCHEDULER[scheduler], `lvs_${scheduler}`, code);
  }
}

const isProgrammed = (scheduler: string): scheduler is ProgrammedScheduler =>
  scheduler !== 'director' && Object.hasOwn(SCHEDULER, scheduler);
