/** Runs the programs of events, in order for each object, and limited in time and number. */

import type { Notify, NotifyCounts, NotifyEvent, ProgramUser } from '../model/notify.ts';
import { firstLine } from './command-probe.ts';
import { errorMessage } from './connect-errors.ts';
import { runProgram } from './run-program.ts';

/** Maximum time of a program, seconds; then it is killed with the processes that it has started. */
const TIMEOUT_SECONDS = 30;
/** Maximum numbers of programs that run and that wait. */
const MAX_RUNNING = 8;
const MAX_WAITING = 1000;
/** Programs are found here: the environment of the director does not reach them. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a program is run for. */
export interface Occasion {
  readonly event: NotifyEvent;
  /** The service, or the service and destination, as text: programs of one object run one after the other. */
  readonly object: string;
  /** Variables of the environment. */
  readonly facts: Readonly<Record<string, string>>;
}

/** How a program failed: `why` is its exit status, its error or its timeout. */
export type NotifyFailure = Occasion & { readonly program: string; readonly why: string };

export interface NotifierOptions {
  readonly failed: (failure: NotifyFailure) => void;
  /** For tests. */
  readonly timeoutSeconds?: number;
  readonly maxWaiting?: number;
}

interface Waiting {
  readonly command: readonly [string, ...string[]];
  readonly occasion: Occasion;
}

export class Notifier implements Disposable {
  readonly counts: NotifyCounts = { succeeded: 0, failed: 0, timedOut: 0, dropped: 0 };
  /** The user that programs run as; undefined: that of this process. */
  user: ProgramUser | undefined;
  readonly #options: NotifierOptions;
  readonly #waiting: Waiting[] = [];
  /** Objects whose programs run now. */
  readonly #busy = new Map<string, AbortController>();

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Runs the program that `notify` has for the event, if it has one. */
  run(notify: Notify | undefined, occasion: Occasion): void {
    const [file, ...args] = notify?.[occasion.event] ?? [];
    if (file === undefined) return;
    if (this.#waiting.length >= (this.#options.maxWaiting ?? MAX_WAITING)) {
      this.counts.dropped++;
      this.#options.failed({ ...occasion, program: file, why: 'too many programs wait' });
      return;
    }
    this.#waiting.push({ command: [file, ...args], occasion });
    this.#startNext();
  }

  /** Ends the programs that run, and forgets those that wait. */
  [Symbol.dispose](): void {
    this.#waiting.length = 0;
    for (const running of this.#busy.values()) running.abort();
  }

  #startNext(): void {
    while (this.#busy.size < MAX_RUNNING) {
      const next = this.#waiting.findIndex(({ occasion }) => !this.#busy.has(occasion.object));
      if (next < 0) return;
      const [{ command, occasion }] = this.#waiting.splice(next, 1) as [Waiting];
      void this.#start(command, occasion);
    }
  }

  async #start(command: Waiting['command'], occasion: Occasion): Promise<void> {
    const { timeoutSeconds = TIMEOUT_SECONDS } = this.#options;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), timeoutSeconds * 1000);
    this.#busy.set(occasion.object, late);
    const env = { PATH, LVS_EVENT: occasion.event, ...occasion.facts };
    const { user } = this;
    const result = await runProgram(command, { env, user, signal: late.signal, mayLeaveProcesses: true });
    clearTimeout(timer);
    this.#busy.delete(occasion.object);
    const why =
      result.error !== undefined
        ? errorMessage(result.error, late.signal, timeoutSeconds)
        : result.endedBy !== undefined
          ? `terminated by ${result.endedBy}`
          : result.status === 0
            ? undefined
            : `status ${result.status}`;
    if (why === undefined) this.counts.succeeded++;
    else {
      if (late.signal.aborted) this.counts.timedOut++;
      else this.counts.failed++;
      const line = firstLine(result);
      const program = command[0];
      this.#options.failed({ ...occasion, program, why: line === '' ? why : `${why}: ${line}` });
    }
    this.#startNext();
  }
}
