/** A scheduler's position in the service's record, from which programs of the kernel, or the next director, go on. */
import type { Destination } from '../model/destination.ts';
import type { SchedulerPosition } from '../schedulers/scheduler.ts';
import { SERVICE } from '../table/record-layout.ts';
import type { ServiceRecords } from '../table/service-records.ts';

/** A destination with a record. */
interface Numbered extends Destination {
  readonly index: number;
}

/** Of one service. */
export class RecordedPosition implements SchedulerPosition {
  readonly #index: number;
  readonly #records: ServiceRecords;

  constructor(index: number, records: ServiceRecords) {
    this.#index = index;
    this.#records = records;
  }

  get last(): number {
    return this.#records.word(this.#index, SERVICE.last);
  }

  set last(last: number) {
    this.#records.setWord(this.#index, SERVICE.last, last);
  }

  get level(): number {
    return this.#records.word(this.#index, SERVICE.level);
  }

  set level(level: number) {
    this.#records.setWord(this.#index, SERVICE.level, level);
  }

  get step(): number {
    return this.#records.word(this.#index, SERVICE.step);
  }

  set step(step: number) {
    this.#records.setWord(this.#index, SERVICE.step, step);
  }

  get top(): number {
    return this.#records.word(this.#index, SERVICE.top);
  }

  set top(top: number) {
    this.#records.setWord(this.#index, SERVICE.top, top);
  }

  setTable(destinations: readonly Destination[]): void {
    this.#records.setTable(this.#index, destinations as readonly Numbered[]);
  }
}
