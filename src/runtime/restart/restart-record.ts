/** What a running director records for the next one: the applied file, drains, VIPs, sync daemons. */
import type { Director } from '../../director/director.ts';
import { systemTime } from '../../host/system-time.ts';
import { Slice } from '../../model/slice.ts';
import { type AppliedRecord, AppliedRecordFile, NO_RECORD } from '../configuration/applied-record.ts';
import { Packing, unpacked } from '../configuration/packed.ts';
import { type Draining, type Drains, later } from '../drains.ts';
import type { Log } from '../log.ts';

export interface RestartRecordOptions {
  readonly director: Pick<Director, 'summary'>;
  readonly drains: Drains;
  readonly clock: () => number;
  readonly log: Log;
}

export class RestartRecord {
  readonly #options: RestartRecordOptions;
  readonly #file: AppliedRecordFile | undefined;

  /** `identity`: of the table; undefined: nothing is kept for the next director. */
  constructor(folder: string, identity: string | undefined, options: RestartRecordOptions) {
    this.#options = options;
    if (identity === undefined) return;
    this.#file = new AppliedRecordFile(folder, identity, ({ message }) =>
      options.log('error', 'record-failed', {
        error: message,
        effect: 'the next director takes rules of the file for manual ones',
      }),
    );
  }

  /** Resolves with what the former director has recorded, and resumes its drains. Works in slices. */
  async resume(): Promise<AppliedRecord> {
    const { clock, drains } = this.#options;
    const record = this.#file?.read() ?? NO_RECORD;
    await drains.resume(later(unpacked(record.drains), clock() - systemTime()));
    return record;
  }

  /** Resolves when it is written. Works in slices. */
  async write({ commands, vips }: Pick<AppliedRecord, 'commands' | 'vips'>): Promise<void> {
    if (!this.#file) return;
    const { clock, director } = this.#options;
    const { daemons } = director.summary(clock());
    const drains = new Packing<Draining>();
    const slice = new Slice();
    for (const drain of later(this.#options.drains.entries(), systemTime() - clock())) {
      drains.add(drain);
      if (slice.spent) await slice.next();
    }
    await this.#file.write({ commands, vips, drains: drains.packed, daemons });
  }

  /** Removes it: the table is gone. */
  remove(): void {
    this.#file?.remove();
  }
}
