/** A director with sync daemons whose messages stay in the test. */
import { randomBytes } from 'node:crypto';
import type { SyncDaemon } from '../../src/model/command.ts';
import { Synchronization } from '../../src/sync/synchronization.ts';
import { Directed } from '../support/directed.ts';

interface SyncedOptions extends NonNullable<ConstructorParameters<typeof Directed>[0]> {
  readonly wallTime?: number;
}

export class SyncedDirector extends Directed {
  /** Messages that the master sent, each with the number of its port. */
  readonly messages: { readonly port: number; readonly message: Buffer }[] = [];
  /** Whether the transport takes messages. */
  isOpen = true;
  readonly sync: Synchronization;

  /** ms since 1970 at the start. */
  readonly wallTime: number;

  constructor({ wallTime = Date.UTC(2026, 0), ...options }: SyncedOptions = {}) {
    super(options);
    this.wallTime = wallTime;
    this.sync = new Synchronization({
      core: this.director.context,
      transport: {
        open: () => {},
        close: () => {},
        send: (port, message) => {
          if (this.isOpen) this.messages.push({ port, message: Buffer.from(message) });
          return this.isOpen;
        },
      },
      wallClock: () => this.wallTime + this.now,
      sender: randomBytes(8),
    });
    this.director.context.sync.attach(this.sync);
  }

  start(role: SyncDaemon['role'], daemon: Partial<SyncDaemon> = {}): this {
    const complete = { syncId: 7, interface: 'eth0', maxLength: 1472, ...daemon, role };
    this.director.apply({ op: 'start-daemon', daemon: complete }, this.now);
    return this;
  }

  stop(role: SyncDaemon['role']): void {
    this.director.apply({ op: 'stop-daemon', role }, this.now);
  }

  /** Sends the lines' packets. */
  exchange(...lines: readonly string[]): void {
    for (const line of lines) this.receive(line);
  }
}
