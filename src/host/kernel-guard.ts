/** Keeps packets from the host's own stack by a table of nftables that vanishes with this process, however it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { LvsError } from '../model/errors.ts';
import { createGuard, type Guarded, replaceGuard } from './guard-script.ts';
import { linkFacts } from './link-facts.ts';

/** ms after which a silent nft is taken for a broken one. */
const LIMIT = 10_000;
/** ms between two starts of nft, at least. */
const REVIVAL = 1000;
/** A question that nft answers without the kernel, and how its answer begins: what was asked before is done. */
const ASK = 'describe meta mark';
const DONE = 'meta expression, datatype mark';

export class KernelGuard {
  readonly #table = `lvs_director_${process.pid}`;
  #interfaces: readonly string[];
  readonly #lost: (error: LvsError) => void;
  #nft: ChildProcessWithoutNullStreams;
  /** When it was started, ms. */
  #started = 0;
  #revival: NodeJS.Timeout | undefined;
  #open = false;
  readonly #waiting: ((error?: LvsError) => void)[] = [];
  #errors = '';
  #wanted: Guarded | undefined;
  #held = '';
  #work: Promise<void> = Promise.resolve();

  private constructor(interfaces: readonly string[], lost: (error: LvsError) => void) {
    this.#interfaces = interfaces;
    this.#lost = lost;
    this.#nft = this.#start();
  }

  /** The table belongs to this child's netlink socket; its stdin, and so its life, ends with ours. */
  #start(): ChildProcessWithoutNullStreams {
    this.#started = performance.now();
    this.#errors = '';
    // Elsewhere it would keep what it is told as a history.
    const nft = spawn('nft', ['-i'], { stdio: 'pipe', env: { ...process.env, HOME: '/dev/null' } });
    let output = '';
    nft.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      for (let at = output.indexOf(DONE); at >= 0; at = output.indexOf(DONE)) {
        output = output.slice(at + DONE.length);
        // What it complains about arrives by another pipe: give that a turn.
        setImmediate(() => this.#settle());
      }
    });
    nft.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    const gone = (why: string) => {
      const advice = this.#open
        ? 'the host may answer for the services until another one is there'
        : 'install nftables (Linux 5.12 or newer), run as root';
      const error = new LvsError('UNAVAILABLE', `nft: ${why}; ${advice}`);
      for (const settle of this.#waiting.splice(0)) settle(error);
      if (this.#open) this.#revive(error);
    };
    nft.on('error', (error) => gone(error.message));
    nft.on('exit', (status, signal) =>
      gone(`ended with ${signal ?? `status ${status}`} ${this.#errors.trim()}`.trim()),
    );
    nft.stdin.on('error', () => {});
    return nft;
  }

  /**
   * Nothing is kept back at first. Throws UNAVAILABLE where there is no usable nftables. `lost` hears when somebody
   * ended it; another one is on its way then.
   */
  static async open(interfaces: readonly string[], lost: (error: LvsError) => void): Promise<KernelGuard> {
    const guard = new KernelGuard(interfaces, lost);
    try {
      await guard.#tell(createGuard(guard.#table, interfaces));
    } catch (error) {
      guard.close();
      throw error;
    }
    guard.#open = true;
    return guard;
  }

  /** The table went with its owner, and the host's stack answers for the services until there is another one. */
  #revive(error: LvsError): void {
    this.#lost(error);
    const wait = Math.max(0, this.#started + REVIVAL - performance.now());
    clearTimeout(this.#revival);
    this.#revival = setTimeout(() => {
      // What was told meanwhile, nobody heard.
      for (const settle of this.#waiting.splice(0)) settle(error);
      this.#nft = this.#start();
      this.#work = this.#work.catch(() => {}).then(() => this.#restore([]));
      this.#work.catch(this.#lost);
    }, wait);
  }

  /** Keeps back just these packets; resolves when the kernel does. Calls that come in one go make one change. */
  keep(guarded: Guarded): Promise<void> {
    this.#wanted = guarded;
    this.#work = this.#work
      .catch(() => {})
      .then(async () => {
        if (!this.#wanted) return;
        const command = replaceGuard(this.#table, this.#wanted);
        this.#wanted = undefined;
        if (command === this.#held) return;
        await this.#tell(command).catch((error: LvsError) => {
          // The next nft will be told.
          if (error.code === 'UNAVAILABLE') this.#held = command;
          throw error;
        });
        this.#held = command;
      });
    return this.#work;
  }

  /** Guards these interfaces, and those that came back: a chain goes with its interface. Those that are away come later. */
  renew(interfaces: readonly string[]): Promise<void> {
    this.#interfaces = interfaces;
    this.#work = this.#work.catch(() => {}).then(() => this.#restore([`delete table netdev ${this.#table}`]));
    return this.#work;
  }

  /** The table anew, with what was kept back, at the interfaces that are there. */
  async #restore(before: readonly string[]): Promise<void> {
    const here = this.#interfaces.filter((name) => linkFacts(name) !== undefined);
    if (here.length === 0) return;
    const words = [...before, createGuard(this.#table, here), this.#held];
    await this.#tell(words.filter((each) => each !== '').join('; '));
  }

  /** Lets the kernel have everything again. */
  close(): void {
    this.#open = false;
    clearTimeout(this.#revival);
    this.#nft.removeAllListeners('exit');
    this.#nft.stdin.end();
  }

  #tell(command: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(new LvsError('UNAVAILABLE', 'nft does not answer')), LIMIT);
      const settle = (error?: LvsError) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      };
      this.#waiting.push(settle);
      this.#nft.stdin.write(`${command}\n${ASK}\n`);
    });
  }

  #settle(): void {
    const errors = this.#errors.trim();
    this.#errors = '';
    this.#waiting.shift()?.(
      errors === '' ? undefined : new LvsError('IO', `nftables refused a rule: ${errors}`),
    );
  }
}
