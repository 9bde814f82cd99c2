/** The clients of `steady-client.ts` on a host of the laboratory: they hold connections, and open new ones. */
import type { LabHost } from './lab-host.ts';
import { PATIENCE, type Program } from './program.ts';
import { built } from './project.ts';

export interface SteadyLoadOptions {
  readonly vip: string;
  /** Connections that are held, and new ones per second. */
  readonly held: number;
  readonly perSecond: number;
  /** ms after which a new one has failed. Default 3000. */
  readonly limit?: number;
  /** ms between two requests on a held one. Default 200. */
  readonly interval?: number;
}

/** What clients have seen since they were asked last. */
export interface Seen {
  /** Held connections that were lost, and those that ended since the start. */
  readonly lost: number;
  readonly ended: number;
  /** Answers on held connections. */
  readonly answers: number;
  /** New connections, those of them that failed, and the errors since the start. */
  readonly opened: number;
  readonly failed: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** Longest time for which new ones were not answered at once, ms. */
  readonly silent: number;
}

export class SteadyLoad implements AsyncDisposable {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Resolves when all connections are held. */
  static async start(
    host: LabHost,
    { vip, held, perSecond, limit = 3000, interval = 200 }: SteadyLoadOptions,
  ): Promise<SteadyLoad> {
    const program = host.spawn([
      ...built('test/support/steady-client'),
      ...[vip, '80', String(held), String(perSecond), String(limit), String(interval)],
    ]);
    await program.line(/^ready$/);
    return new SteadyLoad(program);
  }

  /** Resolves with what the clients have seen since the last call. */
  async seen(): Promise<Seen> {
    const from = this.#program.lines.length;
    this.#program.write('\n');
    return JSON.parse(await this.#program.line(/^\{/, PATIENCE * 2, from));
  }

  stop(): ReturnType<Program['stop']> {
    return this.#program.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program[Symbol.asyncDispose]();
  }
}
