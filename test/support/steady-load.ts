/** The clients of `steady-client.ts` on a host of the laboratory: they hold connections, and open new ones. */
import type { LabHost } from './lab-host.ts';
import { PATIENCE, type Program } from './program.ts';
import { built } from './project.ts';

export interface SteadyLoadOptions {
  readonly vip: string;
  /** Connections that are held, and new ones per second. */
  readonly held: number;
  readonly perSecond: number;
  /** ms after which a new one has failed, and ms between two requests on a held one. */
  readonly limit: number;
  readonly interval: number;
}

/** What clients have seen of new connections, and held ones that were lost; `silent`: ms; `reasons`: errors since the start. */
export interface Seen {
  readonly lost: number;
  readonly opened: number;
  readonly failed: number;
  readonly silent: number;
  readonly reasons: Readonly<Record<string, number>>;
}

export class SteadyLoad {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Resolves when all connections are held. */
  static async start(
    host: LabHost,
    { vip, held, perSecond, limit, interval }: SteadyLoadOptions,
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
}
