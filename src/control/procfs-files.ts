/** Writes the /proc/net files of IPVS to a folder. Each file is replaced atomically. */
import { mkdirSync, rmSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { LvsError } from '../model/errors.ts';
import { Slice } from '../model/slice.ts';
import { replaceFileSync } from '../sys/replace-file.ts';
import type { DirectorApi } from './director-api.ts';
import { replaceableFolder } from './owned-folder.ts';
import {
  PROC_APPLICATIONS,
  PROC_CONNECTIONS_HEAD,
  PROC_ORIGINS_HEAD,
  procConnection,
  procOrigin,
  procServices,
  procStats,
  procStatsPerCpu,
} from './procfs.ts';

const CONNECTIONS = 'ip_vs_conn';
const ORIGINS = 'ip_vs_conn_sync';
const SERVICES = 'ip_vs';
/** Files of a few lines. */
const SHORT = ['ip_vs_stats', 'ip_vs_stats_percpu', 'ip_vs_app'] as const;

/** Characters that are written at once, about 1 ms. */
const CHARACTERS_PER_WRITE = 65_536;

/** The files `FOLDER/net/ip_vs*`. A tool reads them if FOLDER is configured as its /proc. */
export class ProcfsFolder {
  readonly #net: string;
  readonly #api: DirectorApi;

  /** Creates the folder. Throws LvsError CONFIG if other users can write to it, IO if this one cannot. */
  constructor(folder: string, api: DirectorApi) {
    this.#net = join(folder, 'net');
    this.#api = api;
    try {
      mkdirSync(this.#net, { recursive: true, mode: 0o755 });
      const unsafe = replaceableFolder(this.#net);
      if (unsafe !== undefined)
        throw new LvsError(
          'CONFIG',
          `folder ${unsafe}: writable by other users: expected root or this user as its owner, and write permission for the owner only (chown, chmod go-w)`,
        );
      this.#replace(CONNECTIONS, PROC_CONNECTIONS_HEAD);
      this.#replace(ORIGINS, PROC_ORIGINS_HEAD);
    } catch (cause) {
      if (cause instanceof LvsError) throw cause;
      throw new LvsError('IO', `${this.#net}: ${(cause as Error).message}`, { cause });
    }
  }

  /** Writes the files of services and totals. */
  async writeServices(): Promise<void> {
    const snapshot = await this.#api.snapshot({ services: true });
    await this.#replaceByParts(SERVICES, procServices(snapshot));
    const texts: Readonly<Record<(typeof SHORT)[number], string>> = {
      ip_vs_stats: procStats(snapshot),
      ip_vs_stats_percpu: procStatsPerCpu(snapshot),
      ip_vs_app: PROC_APPLICATIONS,
    };
    for (const name of SHORT) this.#replace(name, texts[name]);
  }

  /** Writes both files of connections, in one pass. */
  async writeConnections(): Promise<void> {
    await using connections = await open(this.#next(CONNECTIONS), 'w');
    await using origins = await open(this.#next(ORIGINS), 'w');
    await connections.write(PROC_CONNECTIONS_HEAD);
    await origins.write(PROC_ORIGINS_HEAD);
    for await (const chunk of this.#api.connections()) {
      await connections.write(chunk.map(procConnection).join(''));
      await origins.write(chunk.map(procOrigin).join(''));
    }
    for (const name of [CONNECTIONS, ORIGINS]) await rename(this.#next(name), this.#path(name));
  }

  /** Removes the files. */
  remove(): void {
    for (const name of [...SHORT, SERVICES, CONNECTIONS, ORIGINS])
      for (const path of [this.#path(name), this.#next(name)]) rmSync(path, { force: true });
  }

  #replace(name: string, text: string): void {
    replaceFileSync(this.#path(name), text, { next: this.#next(name) });
  }

  /** Replaces a long file. Works in slices. */
  async #replaceByParts(name: string, parts: Iterable<string>): Promise<void> {
    {
      await using file = await open(this.#next(name), 'w');
      const slice = new Slice();
      let text = '';
      for (const part of parts) {
        text += part;
        if (text.length >= CHARACTERS_PER_WRITE) {
          await file.write(text);
          text = '';
        }
        if (slice.spent) await slice.next();
      }
      await file.write(text);
    }
    await rename(this.#next(name), this.#path(name));
  }

  #path(name: string): string {
    return join(this.#net, name);
  }

  #next(name: string): string {
    return join(this.#net, `.${name}.new`);
  }
}
