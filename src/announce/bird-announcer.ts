/**
 * Makes BIRD announce the VIPs that are wanted. What BIRD has is read again every second, and corrected: it may have been
 * restarted, or changed by another program. The file has the state, too, for a BIRD that starts.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { replaceFile } from '../sys/replace-file.ts';
import { ANNOUNCE_ERRORS, AnnounceError, type AnnounceErrorKind } from './announce-error.ts';
import {
  birdFile,
  EVERY_PROTOCOL,
  includeLine,
  PROTOCOL_PREFIX,
  protocolOf,
  type WantedVips,
  withdrawn,
} from './bird-file.ts';
import { type BirdProtocol, errorOf, protocolsOf } from './bird-reply.ts';
import { BirdSession } from './bird-session.ts';
import { Withdrawal, type WithdrawalOptions } from './withdrawal.ts';

/** ms between two looks at BIRD. */
const LOOK_MS = 1000;
/** ms until the first retry after an error; each further one takes twice as long, up to the second number. */
const RETRY_MS = 250;
const MAX_RETRY_MS = 5000;
/** ms between two attempts to make BIRD read its configuration, after it was refused: BIRD logs each. */
const CONFIGURE_RETRY_MS = 10_000;
/** Bird is reading its configuration, and has not finished (doc/reply_codes). */
const IN_PROGRESS = 4;
/** BIRD reads the file as its own user. */
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

export interface BirdAnnouncerOptions extends WithdrawalOptions {
  /** Returns why files of a folder must not be trusted; undefined: they can be. */
  readonly refuse: (folder: string) => string | undefined;
}

/** What BIRD does, as it reported last. */
export interface BirdState {
  /** VIPs whose routes BIRD has. */
  readonly announced: ReadonlySet<string>;
  /** BGP sessions of BIRD; undefined: not known. */
  readonly sessions: { readonly established: number; readonly all: number } | undefined;
  /** Why BIRD could not be made to do what is wanted; undefined: it does. */
  readonly error: AnnounceError | undefined;
}

const NOTHING: BirdState = { announced: new Set(), sessions: undefined, error: undefined };

export class BirdAnnouncer {
  readonly #options: BirdAnnouncerOptions;
  readonly #withdrawal: Withdrawal;
  /** Failed attempts since the start, by kind. */
  readonly errors: Record<AnnounceErrorKind, number>;
  /** Announcements and withdrawals since the start. */
  changes = 0;
  #state = NOTHING;
  #wanted: WantedVips = new Map();
  #written: string | undefined;
  #session: BirdSession | undefined;
  #failures = 0;
  /** When BIRD may be made to read its configuration again, ms. */
  #configureFrom = 0;
  /** Why BIRD did not accept its configuration last. */
  #refusal: AnnounceError | undefined;
  #running: Promise<void> | undefined;
  #isAgain = false;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: BirdAnnouncerOptions) {
    this.#options = options;
    this.#withdrawal = new Withdrawal(options);
    const kinds = Object.keys(ANNOUNCE_ERRORS) as AnnounceErrorKind[];
    this.errors = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<AnnounceErrorKind, number>;
  }

  get state(): BirdState {
    return this.#state;
  }

  /** Sets what BIRD is to announce. Resolves when an attempt to make it so has ended; it is repeated automatically. */
  async set(wanted: WantedVips): Promise<void> {
    if (this.#isClosed || areEqual(wanted, this.#wanted)) return this.#running;
    this.#wanted = wanted;
    this.#configureFrom = 0;
    return this.#look();
  }

  /** Withdraws all VIPs. Resolves with whether BIRD has confirmed it. */
  async withdrawAll(): Promise<boolean> {
    this.#wanted = withdrawn(this.#wanted);
    await this.#look();
    return this.#state.error === undefined && this.#state.announced.size === 0;
  }

  /** Ends after `withdrawAll`. If BIRD has not confirmed it, the shell goes on. */
  async close(): Promise<void> {
    this.#end();
    const { error, announced } = this.#state;
    if (error === undefined && announced.size === 0) await this.#withdrawal.cancel();
    else this.#withdrawal.begin();
  }

  /** Ends, and leaves the VIPs announced for these seconds at most, unless another director takes over. */
  async leave(seconds: number): Promise<void> {
    this.#end();
    await this.#withdrawal.delay(seconds);
  }

  #end(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#session?.[Symbol.dispose]();
  }

  /** Looks at BIRD now, after a look that is under way. */
  #look(): Promise<void> {
    if (this.#running) this.#isAgain = true;
    this.#running ??= this.#lookRepeatedly().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #lookRepeatedly(): Promise<void> {
    do {
      this.#isAgain = false;
      clearTimeout(this.#timer);
      await this.#lookOnce();
    } while (this.#isAgain && !this.#isClosed);
    if (this.#isClosed) return;
    const retry = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (this.#failures - 1));
    this.#timer = setTimeout(() => void this.#look(), this.#failures > 0 ? retry : LOOK_MS).unref();
  }

  async #lookOnce(): Promise<void> {
    let error: AnnounceError | undefined;
    try {
      error = await this.#correct();
    } catch (thrown) {
      if (!(thrown instanceof AnnounceError)) throw thrown;
      error = thrown;
      this.#session?.[Symbol.dispose]();
      this.#session = undefined;
      // Routes of a BIRD that does not answer are not known.
      if (error.kind === 'not-running') this.#state = NOTHING;
    }
    if (this.#isClosed) return;
    this.#failures = error ? this.#failures + 1 : 0;
    if (error) this.errors[error.kind]++;
    this.#state = { ...this.#state, error };
  }

  /** Makes BIRD do what is wanted, withdrawals first. Resolves with an error after which everything else was done. */
  async #correct(): Promise<AnnounceError | undefined> {
    const unprepared = await failureOf(this.#prepare());
    const wanted = unprepared ? withdrawn(this.#wanted) : this.#wanted;
    const unwritten = unprepared?.kind === 'file' ? undefined : await failureOf(this.#write(wanted));
    const session = await this.#open();
    const names = new Map([...wanted].map(([vip, isWanted]) => [protocolOf(vip), isWanted]));
    let has = await this.#read(session, wanted);
    let changes = await this.#disable(session, has, names);
    const isSame = has.size === names.size && [...names.keys()].every((name) => has.has(name));
    if (!isSame) {
      await this.#configure(session);
      has = await this.#read(session, wanted);
      changes += await this.#disable(session, has, names);
    } else this.#refusal = undefined;
    // A BIRD that starts must find what is announced in the file.
    for (const [name, isWanted] of unwritten ? [] : names) {
      if (!isWanted || has.get(name)?.isUp !== false) continue;
      await session.must(`enable ${name}`);
      changes++;
    }
    this.changes += changes;
    if (changes > 0) has = await this.#read(session, wanted);
    const missing = [...names.keys()].find((name) => !has.has(name));
    const absent = missing === undefined ? undefined : this.#notIncluded(missing);
    return unprepared ?? unwritten ?? this.#refusal ?? absent;
  }

  /** Disables protocols that are up and not wanted, and resolves with their number. */
  async #disable(
    session: BirdSession,
    has: ReadonlyMap<string, BirdProtocol>,
    names: ReadonlyMap<string, boolean>,
  ): Promise<number> {
    const unwanted = [...has.values()].filter(({ name, isUp }) => isUp && names.get(name) !== true);
    if (unwanted.length === 0) return 0;
    if ([...names.values()].includes(true))
      for (const { name } of unwanted) await session.must(`disable ${name}`);
    else await session.must(`disable ${EVERY_PROTOCOL}`);
    return unwanted.length;
  }

  /** Makes BIRD read its configuration, unless it was asked to a short time ago. */
  async #configure(session: BirdSession): Promise<void> {
    if (performance.now() < this.#configureFrom) return;
    const reply = await session.ask('configure');
    const error = errorOf(reply);
    this.#configureFrom = performance.now() + CONFIGURE_RETRY_MS;
    this.#refusal =
      error === undefined
        ? undefined
        : new AnnounceError(
            'refused',
            `BIRD refuses its configuration, and keeps the one before: ${error} (see: bird -p)`,
          );
    if (reply.some(({ code }) => code === IN_PROGRESS)) this.#isAgain = true;
  }

  #notIncluded(name: string): AnnounceError {
    const { file } = this.#options;
    return new AnnounceError(
      'not-included',
      `BIRD has no protocol ${name}: bird.conf must have the line: ${includeLine(file)}`,
    );
  }

  /** Resolves with the protocols of VIPs by name, and updates the state. */
  async #read(session: BirdSession, wanted: WantedVips): Promise<ReadonlyMap<string, BirdProtocol>> {
    const all = protocolsOf(await session.must('show protocols'));
    const has = new Map(
      all.filter(({ name }) => name.startsWith(PROTOCOL_PREFIX)).map((each) => [each.name, each]),
    );
    const bgp = all.filter(({ kind }) => kind === 'BGP');
    this.#state = {
      ...this.#state,
      announced: new Set([...wanted.keys()].filter((vip) => has.get(protocolOf(vip))?.isUp)),
      sessions: {
        established: bgp.filter(({ info }) => /\bEstablished\b/.test(info)).length,
        all: bgp.length,
      },
    };
    return has;
  }

  async #open(): Promise<BirdSession> {
    if (this.#session?.isOpen) return this.#session;
    this.#session = await BirdSession.open(this.#options.socket);
    return this.#session;
  }

  /** Makes the folder, and what withdraws the VIPs when this process is dead. Throws AnnounceError. */
  async #prepare(): Promise<void> {
    const { file, refuse } = this.#options;
    const folder = dirname(file);
    try {
      if ((await mkdir(folder, { recursive: true })) !== undefined) await chmod(folder, FOLDER_MODE);
      const reason = refuse(folder);
      if (reason !== undefined) throw new Error(reason);
    } catch (cause) {
      throw unwritable(file, cause);
    }
    await this.#withdrawal.prepare();
  }

  /** Replaces the file if it is to have another text. Throws AnnounceError. */
  async #write(wanted: WantedVips): Promise<void> {
    const { file, owner } = this.#options;
    const text = birdFile(owner, wanted);
    if (text === this.#written) return;
    try {
      await replaceFile(file, text, FILE_MODE);
    } catch (cause) {
      throw unwritable(file, cause);
    }
    this.#written = text;
  }
}

const unwritable = (file: string, cause: unknown): AnnounceError =>
  new AnnounceError('file', `${file}: ${(cause as Error).message}`, { cause });

/** Resolves with the error with which the promise rejects; undefined: it does not. */
const failureOf = (work: Promise<void>): Promise<AnnounceError | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof AnnounceError) return error;
      throw error;
    },
  );

const areEqual = (some: WantedVips, others: WantedVips): boolean =>
  some.size === others.size && [...some].every(([vip, isAnnounced]) => others.get(vip) === isAnnounced);
