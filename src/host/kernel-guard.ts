/**
 * Withholds packets from the host's own stack with an nftables table. The table has no owner: it outlives a director that is
 * killed for as long as the VIPs do, so that the host resets no client meanwhile (see guard-lifetime.ts).
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { LvsError } from '../model/errors.ts';
import { withDescriptors } from '../sys/descriptor-reserve.ts';
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { renewLifetime } from './guard-lifetime.ts';
import { attachGuard, createGuard, type GuardChange, GuardContent } from './guard-script.ts';
import { linkFacts } from './link-facts.ts';
import { NetfilterTables } from './netfilter-tables.ts';
import { guardTable } from './orphaned-guards.ts';
import { runProgramNow } from './run-program.ts';
import { RENEWAL_INTERVAL_MS } from './vip-addresses.ts';

/** How long nft may take to answer, ms. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Minimum time between two starts of nft, ms. */
const RESTART_INTERVAL_MS = 1000;
/** Time between two looks for the table, ms: `nft flush ruleset` of another program deletes it. */
const WATCH_INTERVAL_MS = 100;
/** A command that nft answers without the kernel, and how its answer begins: earlier commands are complete by then. */
const SYNC_COMMAND = 'describe meta mark';
const SYNC_ANSWER = 'meta expression, datatype mark';

export class KernelGuard {
  #generation = 1;
  /** Tables that a restoration replaced or did not complete. */
  readonly #obsolete: string[] = [];
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
  #timers: readonly NodeJS.Timeout[] = [];
  #tables: NetfilterTables | undefined;
  #isRestoring = false;

  private constructor(interfaces: readonly string[], lost: (error: LvsError) => void) {
    this.#interfaces = interfaces;
    this.#lost = lost;
    this.#nft = this.#start();
  }

  get #table(): string {
    return guardTable(this.#generation);
  }

  /** Starts nft. Its stdin closes, and nft exits, when this process ends. */
  #start(): ChildProcessWithoutNullStreams {
    this.#started = performance.now();
    this.#errors = '';
    // nft would save its commands to a history file in HOME. Its process group is a separate one: Ctrl-C and a service
    // manager signal the director's whole group, and the director updates the table until its end.
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
        ? 'the guard stays, and nft is started again'
        : 'install nftables and run as root';
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
   * when another program ended nft, which is then started again, or deleted the table, which is then created again. Without
   * `system`, a deletion is found when the lifetime is renewed.
   */
  static async open(
    interfaces: readonly string[],
    lost: (error: LvsError) => void,
    system?: System,
  ): Promise<KernelGuard> {
    const guard = new KernelGuard(interfaces, lost);
    try {
      await guard.#run(`${createGuard(guard.#table)}; ${attachGuard(guard.#table, interfaces)}`);
    } catch (error) {
      guard.close();
      throw error;
    }
    guard.#open = true;
    guard.#tables = system && tablesOf(system);
    guard.#timers = [
      setInterval(() => guard.#renewLifetime(), RENEWAL_INTERVAL_MS).unref(),
      setInterval(() => guard.#look(), WATCH_INTERVAL_MS).unref(),
    ];
    return guard;
  }

  #renewLifetime(): void {
    this.#then(() => this.#carryOut([renewLifetime(this.#table)])).catch(this.#lost);
  }

  /** Creates the table again if another program deleted it. */
  #look(): void {
    if (this.#isRestoring || this.#tables?.lacks(this.#table) !== true) return;
    this.#lost(new LvsError('IO', `table ${this.#table}: deleted by another program (it is created again)`));
    this.#then(() => this.#restore()).catch(this.#lost);
  }

  /** Starts another nft, and installs a table with the whole content. */
  #restart(error: LvsError): void {
    this.#lost(error);
    const wait = Math.max(0, this.#started + RESTART_INTERVAL_MS - performance.now());
    clearTimeout(this.#restartTimer);
    this.#restartTimer = setTimeout(() => {
      // Commands that were written in the meantime are lost.
      for (const settle of this.#waiting.splice(0)) settle(error);
      this.#nft = this.#start();
      this.#then(() => this.#restore()).catch(this.#lost);
    }, wait);
  }

  /** Withholds the packets of what was added and no longer those of what was removed; resolves when the kernel does so. */
  withhold(change: GuardChange): Promise<void> {
    return this.#then(async () => this.#carryOut(await this.#content.change(this.#table, change)));
  }

  /** Sets the VIPs that the director holds: the guard withholds their packets no longer than they exist. */
  hold(vips: ReadonlySet<string>): Promise<void> {
    return this.#then(() => this.#carryOut(this.#content.hold(this.#table, vips)));
  }

  async #carryOut(transactions: readonly string[]): Promise<void> {
    try {
      for (const transaction of transactions) await this.#run(transaction);
    } catch (error) {
      // The next nft gets the whole content.
      if (!(error instanceof LvsError) || error.code === 'UNAVAILABLE') throw error;
      await this.#restore();
    }
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

  /** Creates another table with the content, and deletes the one before: there is no moment without a guard. */
  async #restore(): Promise<void> {
    this.#isRestoring = true;
    try {
      this.#obsolete.push(this.#table);
      this.#generation++;
      const existing = this.#existing;
      const attach = existing.length > 0 ? [attachGuard(this.#table, existing)] : [];
      await this.#run([createGuard(this.#table), ...attach].join('; '));
      for (const transaction of await this.#content.all(this.#table)) await this.#run(transaction);
      await this.#run(deletion(this.#obsolete));
      this.#obsolete.length = 0;
    } finally {
      this.#isRestoring = false;
    }
  }

  /** Removes the table: the kernel handles all packets again. Waits for nft. */
  close(): void {
    clearTimeout(this.#restartTimer);
    for (const timer of this.#timers) clearInterval(timer);
    this.#tables?.[Symbol.dispose]();
    this.#nft.removeAllListeners('exit');
    (this.#nft.stdin as Writable | undefined)?.end();
    // Commands that it still had would create the table again.
    this.#nft.kill('SIGKILL');
    if (this.#open) runProgramNow('nft', [deletion([...this.#obsolete, this.#table])]);
    this.#open = false;
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

/** Returns undefined where the kernel offers no socket for it. */
function tablesOf(system: System): NetfilterTables | undefined {
  try {
    return new NetfilterTables(system);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return undefined;
  }
}

/** Returns one transaction that deletes the tables, whether they exist or not. */
const deletion = (tables: readonly string[]): string =>
  tables.map((table) => `add table netdev ${table}; delete table netdev ${table}`).join('; ');
