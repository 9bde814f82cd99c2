/** Sync daemons of the file whose interface did not exist at the start: they start when it does. */
import type { DirectorApi, Outcome } from '../../control/director-api.ts';
import type { Command } from '../../model/command.ts';
import type { Log } from '../log.ts';

export class WaitingDaemons {
  readonly #log: Log;
  #commands: readonly Command[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Keeps the daemons that did not start because of their interface. Logs what else failed. */
  keep(commands: readonly Command[], outcomes: readonly Outcome[]): void {
    this.#commands = commands.filter(
      (command, i) => command.op === 'start-daemon' && outcomes[i]?.code === 'NO_SUCH_DEVICE',
    );
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome === undefined) continue;
      const { message: error } = outcome;
      if (this.#commands.includes(commands[i]!)) this.#log('warning', 'sync-daemon-waiting', { error });
      else this.#log('error', 'start-command-failed', { error });
    }
  }

  /** Tries to start the daemons. Call it once a second. */
  async retry(apply: DirectorApi['apply']): Promise<void> {
    const commands = this.#commands;
    if (commands.length === 0) return;
    this.#commands = [];
    const outcomes = await apply(commands);
    this.#commands = commands.filter((_, i) => outcomes[i]?.code === 'NO_SUCH_DEVICE');
  }
}
