/** Withholds packets from the host's own stack with an nftables table that is removed when this process ends, however it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { LvsError } from '../model/errors.ts';
import { withDescriptors } from '../sys/descriptor-reserve.ts';
import { attachGuard, createGuard, type GuardChange, GuardContent } from './guard-script.ts';
import { linkFacts } from './link-facts.ts';

/** How long nft may take to answer, ms. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Minimum time between two starts of nft, ms. */
const RESTART_INTERVAL_MS = 1000;
/** A command that nft answers without the kernel, and how its answer begins: earlier commands are complete by then. */
const SYNC_COMMAND = 'describe meta mark';
const SYNC_ANSWER = 'meta expression, datatype mark';

export class KernelGuard {
  readonly #table = `lvs_director_${process.pid}`;
  #interfaces: readonly string[];
  readonly #lost: (error: LvsError) => void;
  #nft: ChildProcessWithoutNullStreams;
  /** When nft was started, ms. */
  #started = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #open = false;
  readonly #waiting: ((error?: LvsError) => void)[] = [];
  #errors = '';
  readonly #content = new GuardContent();
  #work: Promise<void> = Promise.resolve();

  private constructor(interfaces: readonly string[], lost: (error: LvsError) => void) {
    this.#interfaces = interfaces;
    this.#lost = lost;
    this.#nft = this.#start();
  }

  /** Starts nft. Its netlink socket owns the table; its stdin closes, and nft exits, when this process ends. */
  #start(): ChildProcessWithoutNullStreams {
    this.#started = performance.now();
    this.#errors = '';
    // nft would save its commands to a history file in HOME. Its process group is a separate one: Ctrl-C and a service
    // manager signal the director's whole group, and the table must outlast the director's own shutdown.
    const env = { ...process.env, HOME: '/dev/null' };
    const nft = withDescriptors(() => spawn('nft', ['-i'], { stdio: 'pipe', detached: true, env }));
    // Out of descriptors there are no streams, and an error event follows.
    const streams: Partial<Pick<typeof nft, 'stdin' | 'stdout' | 'stderr'>> = nft;
    let output = '';
    streams.stdout?.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      for (let at = output.indexOf(SYNC_ANSWER); at >= 0; at = output.indexOf(SYNC_ANSWER)) {
        output = output.slice(at + SYNC_ANSWER.length);
        // Error messages arrive on another pipe, which may be read after this one.
        setImmediate(() => this.#settle());
      }
    });
    streams.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    const onEnd = (reason: string) => {
      const advice = this.#open
        ? "until a new guard is installed, the host's own stack may answer for the virtual services"
        : 'install nftables (Linux 5.12 or newer) and run as root';
      const error = new LvsError('UNAVAILABLE', `nft: ${reason} (${advice})`);
      for (const settle of this.#waiting.splice(0)) settle(error);
      if (this.#open) this.#restart(error);
    };
    nft.on('error', (error) => onEnd(error.message));
    nft.on('exit', (status, signal) =>
      onEnd(`ended with ${signal ?? `status ${status}`} ${this.#errors.trim()}`.trim()),
    );
    streams.stdin?.on('error', () => {});
    return nft;
  }

  /**
   * Opens a guard that withholds nothing yet. Throws LvsError UNAVAILABLE where nftables cannot be used. `lost` is called
   * when nft was ended by another program; a new one is then started.
   */
  static async open(interfaces: readonly string[], lost: (error: LvsError) => void): Promise<KernelGuard> {
    const guard = new KernelGuard(interfaces, lost);
    try {
      await guard.#run(`${createGuard(guard.#table)}; ${attachGuard(guard.#table, interfaces)}`);
    } catch (error) {
      guard.close();
      throw error;
    }
    guard.#open = true;
    return guard;
  }

  /** Starts another nft and installs the table again. Until then the host's stack answers for the services. */
  #restart(error: LvsError): void {
    this.#lost(error);
    const wait = Math.max(0, this.#started + RESTART_INTERVAL_MS - performance.now());
    clearTimeout(this.#restartTimer);
    this.#restartTimer = setTimeout(() => {
      // Commands that were written in the meantime are lost.
      for (const settle of this.#waiting.splice(0)) settle(error);
      this.#nft = this.#start();
      this.#then(() => this.#restore([])).catch(this.#lost);
    }, wait);
  }

  /** Withholds the packets of what was added and no longer those of what was removed; resolves when the kernel does so. */
  withhold(change: GuardChange): Promise<void> {
    return this.#then(async () => {
      const transactions = await this.#content.change(this.#table, change);
      try {
        for (const transaction of transactions) await this.#run(transaction);
      } catch (error) {
        // The next nft gets the whole content.
        if (!(error instanceof LvsError) || error.code === 'UNAVAILABLE') throw error;
        await this.#restore([`delete table netdev ${this.#table}`]);
      }
    });
  }

  /** Guards exactly these interfaces; absent ones are skipped. */
  renew(interfaces: readonly string[]): Promise<void> {
    this.#interfaces = interfaces;
    return this.#then(async () => {
      const existing = this.#existing;
      if (existing.length > 0) await this.#run(attachGuard(this.#table, existing));
    });
  }

  /** Runs `work` after the work before it. */
  #then(work: () => Promise<void>): Promise<void> {
    this.#work = this.#work.catch(() => {}).then(work);
    return this.#work;
  }

  get #existing(): string[] {
    return this.#interfaces.filter((name) => linkFacts(name) !== undefined);
  }

  /** Creates the table again with its content; `before`: commands of the same transaction. */
  async #restore(before: readonly string[]): Promise<void> {
    const existing = this.#existing;
    const attach = existing.length > 0 ? [attachGuard(this.#table, existing)] : [];
    await this.#run([...before, createGuard(this.#table), ...attach].join('; '));
    for (const transaction of await this.#content.all(this.#table)) await this.#run(transaction);
  }

  /** Removes the table: the kernel handles all packets again. */
  close(): void {
    this.#open = false;
    clearTimeout(this.#restartTimer);
    this.#nft.removeAllListeners('exit');
    (this.#nft.stdin as Writable | undefined)?.end();
  }

  #run(command: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const nft = this.#nft;
      // nft that hangs is replaced, as nft that ended is.
      const timer = setTimeout(() => {
        settle(new LvsError('UNAVAILABLE', `nft: no answer within ${ANSWER_TIMEOUT_MS} ms`));
        nft.kill('SIGKILL');
      }, ANSWER_TIMEOUT_MS);
      const settle = (error?: LvsError) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      };
      this.#waiting.push(settle);
      (nft.stdin as Writable | undefined)?.write(`${command}\n${SYNC_COMMAND}\n`);
    });
  }

  #settle(): void {
    const errors = this.#errors.trim();
    this.#errors = '';
    this.#waiting.shift()?.(errors === '' ? undefined : new LvsError('IO', `nft: rule rejected: ${errors}`));
  }
}
