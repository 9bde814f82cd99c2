/** Keeps packets from the host's own stack by a table of nftables that vanishes with this process, however it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { LvsError } from '../model/errors.ts';
import { createGuard, type Guarded, replaceGuard } from './guard-script.ts';
import { linkFacts } from './link-facts.ts';

/** ms after which a silent nft is taken for a broken one. */
const LIMIT = 10_000;
/** A question that nft answers without the kernel, and how its answer begins: what was asked before is done. */
const ASK = 'describe meta mark';
const DONE = 'meta expression, datatype mark';

export class KernelGuard {
  readonly #table = `lvs_director_${process.pid}`;
  #interfaces: readonly string[];
  readonly #nft: ChildProcessWithoutNullStreams;
  readonly #waiting: ((error?: LvsError) => void)[] = [];
  #errors = '';
  #wanted: Guarded | undefined;
  #held = '';
  #work: Promise<void> = Promise.resolve();

  private constructor(interfaces: readonly string[]) {
    this.#interfaces = interfaces;
    // The table belongs to this child's netlink socket; its stdin, and so its life, ends with ours.
    this.#nft = spawn('nft', ['-i'], { stdio: 'pipe' });
    let output = '';
    this.#nft.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text;
      for (let at = output.indexOf(DONE); at >= 0; at = output.indexOf(DONE)) {
        output = output.slice(at + DONE.length);
        // What it complains about arrives by another pipe: give that a turn.
        setImmediate(() => this.#settle());
      }
    });
    this.#nft.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    const gone = (why: string) => {
      const error = new LvsError(
        'UNAVAILABLE',
        `nft: ${why}; install nftables (Linux 5.12 or newer), run as root`,
      );
      for (const settle of this.#waiting.splice(0)) settle(error);
    };
    this.#nft.on('error', (error) => gone(error.message));
    this.#nft.on('exit', (status) => gone(`ended with status ${status}: ${this.#errors.trim()}`));
    this.#nft.stdin.on('error', () => {});
  }

  /** Nothing is kept back at first. Throws UNAVAILABLE where there is no usable nftables. */
  static async open(interfaces: readonly string[]): Promise<KernelGuard> {
    const guard = new KernelGuard(interfaces);
    await guard.#tell(createGuard(guard.#table, interfaces));
    return guard;
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
        await this.#tell(command);
        this.#held = command;
      });
    return this.#work;
  }

  /** Guards these interfaces, and those that came back: a chain goes with its interface. Those that are away come later. */
  renew(interfaces: readonly string[]): Promise<void> {
    this.#interfaces = interfaces;
    this.#work = this.#work
      .catch(() => {})
      .then(() => {
        const here = this.#interfaces.filter((name) => linkFacts(name) !== undefined);
        if (here.length === 0) return;
        const words = [`delete table netdev ${this.#table}`, createGuard(this.#table, here), this.#held];
        return this.#tell(words.filter((each) => each !== '').join('; '));
      });
    return this.#work;
  }

  /** Lets the kernel have everything again. */
  close(): void {
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
