/** The clients that may not connect: lists of the configuration, and what operators deny by command. */
import type { DeniedClient, DenyRequest } from '../control/operations-api.ts';
import { type AccessLists, scopeOf } from '../director/access-lists.ts';
import { serviceKey } from '../director/administration.ts';
import type { Director } from '../director/director.ts';
import {
  type AccessCounts,
  type AccessEntry,
  type DeniedByCommand,
  type ListKind,
  MAX_COMMANDED_ENTRIES,
} from '../model/access-list.ts';
import { LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../wire/prefix.ts';
import type { KernelLists } from './kernel/kernel-lists.ts';
import type { Log } from './log.ts';
import type { OperatorState } from './operator-state.ts';

/** Places of the connection table that are read without a pause. */
const PLACES_PER_PORTION = 1 << 13;
/** ms after which no program of the kernel makes a connection of a client that it looked up before an entry was added. */
const LATE_CONNECTIONS_MS = 1000;

export interface BlockedClientsOptions {
  readonly director: Director;
  readonly state: OperatorState;
  /** The lists of a kernel path. */
  readonly kernel?: KernelLists | undefined;
  /** Wall-clock time, ms since the epoch. */
  readonly wallClock: () => number;
  readonly log: Log;
}

/** A list of the configuration. */
interface FileList {
  readonly list: ListKind;
  readonly service?: ServiceAddress;
  /** The file by prefix; undefined: the configuration file. */
  readonly files: Map<string, string | undefined>;
}

type Scoped = { readonly service?: ServiceAddress; readonly prefix: string };

export class BlockedClients {
  readonly #options: BlockedClientsOptions;
  /** Entries of the configuration: each list by its name, and in it the file of each prefix. Strings, for memory. */
  #file = new Map<string, FileList>();
  /** Entries of the deny list that commands made. */
  readonly #commanded = new Map<string, DeniedByCommand>();
  #counts = { deny: 0, allow: 0 };
  #lateScan: NodeJS.Timeout | undefined;

  constructor(options: BlockedClientsOptions) {
    this.#options = options;
  }

  get counts(): AccessCounts {
    return { ...this.#counts, commanded: this.#commanded.size };
  }

  /** Denies what commands have denied before, but for what has ended since. */
  restore(): void {
    const { state, wallClock } = this.#options;
    for (const entry of state.changes.denied) {
      if (entry.until !== undefined && entry.until <= wallClock()) continue;
      const prefix = parsePrefix(entry.prefix);
      if (typeof prefix === 'string') continue;
      this.#commanded.set(keyOf('deny', entry), entry);
      this.#apply('deny', entry, prefix);
    }
  }

  /** Replaces the entries of the configuration. Works in slices. */
  async setFile(entries: Iterable<AccessEntry>): Promise<void> {
    const slice = new Slice();
    const before = this.#file;
    const after = new Map<string, FileList>();
    const counts = { deny: 0, allow: 0 };
    for (const { list, service, prefix, file } of entries) {
      const name = nameOf(list, service);
      const known = after.get(name) ?? { list, ...(service && { service }), files: new Map() };
      after.set(name, known);
      if (!known.files.has(prefix)) counts[list]++;
      known.files.set(prefix, file);
      if (slice.spent) await slice.next();
    }
    this.#file = after;
    this.#counts = counts;
    const change = async (kind: ListKind, all: typeof after, others: typeof after) => {
      for (const [name, { list, service, files }] of all)
        for (const prefix of list === kind ? files.keys() : []) {
          if (slice.spent) await slice.next();
          if (!others.get(name)?.files.has(prefix))
            this.#apply(list, { prefix, ...(service && { service }) }, parsePrefix(prefix));
        }
    };
    // At no time is a client denied that both configurations allow.
    await change('allow', after, before);
    await change('deny', after, before);
    await change('deny', before, after);
    await change('allow', before, after);
  }

  /**
   * Denies an address or a prefix. Its connections end, unless the request excludes these. Throws LvsError; nothing is changed
   * then.
   */
  async deny({ address, service, seconds, newOnly }: DenyRequest): Promise<DeniedClient> {
    const { director, state, wallClock, log } = this.#options;
    const prefix = parsedPrefix(address);
    if (service && !director.context.services.get(serviceKey(service)))
      throw new LvsError('NO_SUCH_SERVICE', `${formatService(service)}: no such service`);
    const entry: DeniedByCommand = {
      prefix: formatPrefix(prefix),
      ...(service && { service }),
      ...(seconds !== undefined && { until: wallClock() + seconds * 1000 }),
      ...(newOnly && { newOnly }),
    };
    const key = keyOf('deny', entry);
    if (!this.#commanded.has(key) && this.#commanded.size >= MAX_COMMANDED_ENTRIES)
      throw new LvsError(
        'TABLE_FULL',
        `${entry.prefix}: ${MAX_COMMANDED_ENTRIES} prefixes are denied by commands: expected no more (use a file)`,
      );
    state.change({ denied: [...new Map(this.#commanded).set(key, entry).values()] });
    this.#commanded.set(key, entry);
    this.#apply('deny', entry, prefix);
    log('info', 'client-denied', {
      client: entry.prefix,
      service: service ? formatService(service) : 'all',
      seconds,
    });
    const ended = newOnly ? 0 : await this.endConnections();
    const allowed = director.context.access.allowing(scopeOf(service), prefix);
    return { ...this.#describe(entry), ended, ...(allowed && { allowedBy: formatPrefix(allowed) }) };
  }

  /** Ends what a command denied. Throws LvsError. */
  async undeny(address: string, service: ServiceAddress | undefined): Promise<DeniedClient> {
    const prefix = formatPrefix(parsedPrefix(address));
    const at: Scoped = { prefix, ...(service && { service }) };
    const key = keyOf('deny', at);
    const entry = this.#commanded.get(key);
    if (!entry) throw new LvsError('INVALID', `${prefix}: not denied by a command${this.#elsewhere(at)}`);
    this.#remove([key]);
    this.#options.log('info', 'client-undenied', { client: prefix, reason: 'command' });
    return this.#describe(entry);
  }

  /** The entries that commands made. */
  get commanded(): readonly DeniedClient[] {
    return [...this.#commanded.values()].map((entry) => this.#describe(entry));
  }

  /** Removes the entries whose time is over. Call it once a second. */
  tick(): void {
    const now = this.#options.wallClock();
    const over: string[] = [];
    for (const [key, { until }] of this.#commanded) if (until !== undefined && until <= now) over.push(key);
    if (over.length === 0) return;
    const clients = over.map((key) => this.#commanded.get(key)!.prefix);
    try {
      this.#remove(over);
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      this.#options.log('error', 'operator-state-failed', { error: error.message });
      return;
    }
    for (const client of clients) this.#options.log('info', 'client-undenied', { client, reason: 'time' });
  }

  /** Ends the connections of denied clients. Resolves with their number. Works in slices. */
  async endConnections(): Promise<number> {
    const ended = await this.#scan();
    if (this.#options.kernel) {
      clearTimeout(this.#lateScan);
      this.#lateScan = setTimeout(() => void this.#scan(), LATE_CONNECTIONS_MS).unref();
    }
    return ended;
  }

  /** Returns an explanation that names the sources of the entries that decide, and the time until their ends. */
  explained(explanation: Explanation): Explanation {
    const steps = explanation.steps.map((step) => {
      if (step.step !== 'access') return step;
      const { list, ...at } = step;
      if (this.#isInFile(list, at)) return { ...step, source: this.#sourceOf(list, at) };
      const commanded = list === 'deny' ? this.#commanded.get(keyOf(list, at)) : undefined;
      if (!commanded) return step;
      const { left } = this.#describe(commanded);
      return { ...step, source: 'a command', ...(left !== undefined && { left }) };
    });
    return { ...explanation, steps };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#lateScan);
  }

  async #scan(): Promise<number> {
    const { director } = this.#options;
    const slice = new Slice();
    let ended = 0;
    for (let from = 0; from < director.places; from += PLACES_PER_PORTION) {
      ended += director.endDenied(from, from + PLACES_PER_PORTION);
      if (slice.spent) await slice.next();
    }
    return ended;
  }

  /** Throws LvsError IO if the state cannot be written; nothing is changed then. */
  #remove(keys: readonly string[]): void {
    const left = new Map(this.#commanded);
    const entries = keys.map((key) => left.get(key)!);
    for (const key of keys) left.delete(key);
    this.#options.state.change({ denied: [...left.values()] });
    for (const key of keys) this.#commanded.delete(key);
    for (const entry of entries) this.#apply('deny', entry, parsePrefix(entry.prefix));
  }

  /** Makes the director and the kernel path follow the entries at a prefix. */
  #apply(list: ListKind, at: Scoped, prefix: Prefix | string): void {
    if (typeof prefix === 'string') return;
    const { director, kernel } = this.#options;
    const isInFile = this.#isInFile(list, at);
    const commanded = list === 'deny' ? this.#commanded.get(keyOf(list, at)) : undefined;
    const isPresent = isInFile || commanded !== undefined;
    const { access } = director.context;
    const scope = scopeOf(at.service);
    if (isPresent) access.add(list, scope, prefix, isInFile || commanded?.newOnly !== true);
    else access.delete(list, scope, prefix);
    kernel?.change(list, at.service, prefix, isPresent);
  }

  #describe({ prefix, service, until, newOnly }: DeniedByCommand): DeniedClient {
    return {
      prefix,
      ...(service && { service: formatService(service) }),
      ...(until !== undefined && {
        left: Math.max(0, Math.ceil((until - this.#options.wallClock()) / 1000)),
      }),
      ...(newOnly && { newOnly }),
    };
  }

  #isInFile(list: ListKind, { service, prefix }: Scoped): boolean {
    return this.#file.get(nameOf(list, service))?.files.has(prefix) ?? false;
  }

  /** Returns the file that has an entry of the configuration. */
  #sourceOf(list: ListKind, { service, prefix }: Scoped): string {
    return this.#file.get(nameOf(list, service))?.files.get(prefix) ?? 'the configuration file';
  }

  /** Returns where else an entry is that denies a prefix, for an error message. */
  #elsewhere(at: Scoped): string {
    if (this.#isInFile('deny', at))
      return `: it is in ${this.#sourceOf('deny', at)} (remove it there, and reload)`;
    const same = [...this.#commanded.values()].find(({ prefix }) => prefix === at.prefix);
    if (!same) return '';
    const scope = same.service ? `for ${formatService(same.service)}` : 'for all services';
    return `: it is denied ${scope} (${same.service ? 'name it with --service' : 'omit --service'})`;
  }
}

/** Sets the lists of a director that has none yet, such as that of a replay. */
export function setLists(access: AccessLists, entries: Iterable<AccessEntry>): void {
  for (const { list, service, prefix } of entries) {
    const parsed = parsePrefix(prefix);
    if (typeof parsed !== 'string') access.add(list, scopeOf(service), parsed, true);
  }
}

const nameOf = (list: ListKind, service: ServiceAddress | undefined): string => `${list} ${scopeOf(service)}`;

const keyOf = (list: ListKind, { service, prefix }: Scoped): string =>
  `${list} ${prefix} ${scopeOf(service)}`;

function parsedPrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (typeof prefix === 'string') throw new LvsError('INVALID', `${text}: invalid prefix: ${prefix}`);
  return prefix;
}
