/** A program that runs beside the test: its lines can be waited for, and it is ended by its own pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How a program ended: its exit status, or the signal that ended it. */
export type Ending = number | NodeJS.Signals;

/**
 * ms that what has to happen may take: a bound on what never comes, not a measure; the machine may be busy.
 * LVS_TEST_PATIENCE sets it, in seconds.
 */
export const PATIENCE = Number(process.env['LVS_TEST_PATIENCE'] ?? 60) * 1000;

export class Program implements AsyncDisposable {
  readonly command: string;
  /** Every line of stdout and stderr so far. */
  readonly lines: string[] = [];
  /** Resolves when the program is gone and its output complete; rejects when it could not be started. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #ending: Ending | undefined;

  constructor(argv: readonly string[], name = argv.join(' ')) {
    this.command = name;
    this.#child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        for (const watch of [...this.#watchers]) watch();
      });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (status, signal) => {
        this.#ending = status ?? signal ?? 0;
        resolve(this.#ending);
        for (const watch of [...this.#watchers]) watch();
      });
    });
    this.ended.catch(() => {});
    this.#child.stdin!.on('error', () => {});
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#ending === undefined && this.#child.pid !== undefined;
  }

  get output(): string {
    return this.lines.join('\n');
  }

  /** The first line from number `from` on that matches, said already or still to come; rejects when the program ends without it, or after `limit` ms. */
  line(pattern: RegExp, limit = PATIENCE, from = 0): Promise<string> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
        settle();
      };
      const fail = (why: string) =>
        finish(() => reject(new Error(`${this.command}: ${why} ${pattern}; it said:\n${this.output}`)));
      const watch = () => {
        const found = this.lines.slice(from).find((line) => pattern.test(line));
        if (found !== undefined) finish(() => resolve(found));
        else if (this.#ending !== undefined) fail(`ended with ${this.#ending} before it said`);
      };
      const timer = setTimeout(() => fail(`did not within ${limit} ms say`), limit);
      this.#watchers.add(watch);
      watch();
    });
  }

  write(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Closes its standard input. */
  end(): void {
    this.#child.stdin!.end();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Asks it to end, and after `patience` ms makes it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', patience = PATIENCE / 2): Promise<Ending> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal('SIGKILL'), patience);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {});
  }
}
