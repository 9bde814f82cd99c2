/** A client of a director's control socket. It connects at the first request. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { AnnouncementListing } from '../model/announcement.ts';
import type { CapturedPackets } from '../model/capture.ts';
import type { ClusterStatus } from '../model/cluster.ts';
import type { Command } from '../model/command.ts';
import { type ErrorCode, LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { JoinedPlace } from '../model/joined.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConnectionSnapshot, ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import type {
  Configuration,
  ConfigurationApi,
  DirectorApi,
  Outcome,
  PacketApi,
  Reloaded,
  Stopping,
} from './director-api.ts';
import { LineReader } from './lines.ts';
import type {
  DeniedClient,
  DenyListing,
  DenyRequest,
  DrainedServer,
  OperationsApi,
} from './operations-api.ts';
import {
  type Answer,
  MAX_ANSWER_LINE_BYTES,
  MAX_COMMANDS,
  parseObject,
  protocolError,
  type Request,
  VERSION,
} from './protocol.ts';

export interface ClientOptions {
  /** Maximum time to wait for data from the director, ms. Default 30 s. */
  readonly timeout?: number;
  /** Commands concern this director alone, if it belongs to a cluster. */
  readonly isLocal?: boolean;
}

/** Approximate size of the commands in one request, bytes: far below the limit of a director. */
const BATCH_BYTES = 100_000;

/** Sends one request at a time: an answer must be read completely before the next request. */
export class ControlClient implements DirectorApi, ConfigurationApi, PacketApi, OperationsApi, Disposable {
  readonly #path: string;
  readonly #timeout: number;
  readonly #isLocal: boolean;
  #socket: Socket | undefined;
  #octets: AsyncIterator<Buffer> | undefined;
  #reader = new LineReader(MAX_ANSWER_LINE_BYTES);
  #lines: string[] = [];

  constructor(path: string, options: ClientOptions = {}) {
    this.#path = path;
    this.#timeout = options.timeout ?? 30_000;
    this.#isLocal = options.isLocal ?? false;
  }

  async apply(commands: Parameters<DirectorApi['apply']>[0]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const batch of batches(commands)) {
      for await (const answer of this.#ask({
        ...{ version: VERSION, ask: 'apply', commands: batch },
        ...(this.#isLocal && { isLocal: true }),
      }))
        if ('outcomes' in answer) outcomes.push(...answer.outcomes.map((outcome) => outcome ?? undefined));
    }
    if (outcomes.length !== commands.length)
      throw protocolError(
        `invalid answer: expected ${commands.length} outcomes, received ${outcomes.length}`,
      );
    return outcomes;
  }

  async snapshot(parts: Parameters<DirectorApi['snapshot']>[0]): Promise<Snapshot> {
    const services: ServiceSnapshot[] = [];
    let rest: Omit<Snapshot, 'services'> | undefined;
    for await (const answer of this.#ask({ version: VERSION, ask: 'snapshot', parts })) {
      if ('snapshot' in answer) rest = answer.snapshot;
      if ('services' in answer) services.push(...answer.services);
    }
    if (!rest) throw protocolError('incomplete answer: snapshot missing');
    return { ...rest, services };
  }

  async *connections(): AsyncGenerator<readonly ConnectionSnapshot[]> {
    for await (const answer of this.#ask({ version: VERSION, ask: 'connections' }))
      if ('connections' in answer) yield answer.connections;
  }

  async reload(): Promise<Reloaded> {
    let reloaded: Reloaded | undefined;
    for await (const answer of this.#ask({ version: VERSION, ask: 'reload' }))
      if ('reloaded' in answer) reloaded = answer.reloaded;
    if (!reloaded) throw protocolError('incomplete answer: result of the reload missing');
    return reloaded;
  }

  async configured(): Promise<Configuration & { readonly commands: readonly Command[] }> {
    let configuration: Omit<Configuration, 'commands'> | undefined;
    const commands: Command[] = [];
    for await (const answer of this.#ask({ version: VERSION, ask: 'configured' }))
      if ('configured' in answer) configuration = answer.configured;
      else if ('commands' in answer) commands.push(...answer.commands);
    if (!configuration) throw protocolError('incomplete answer: configuration missing');
    return { ...configuration, commands };
  }

  /** Makes the director end. */
  async stop(keep: boolean): Promise<Stopping> {
    let stopping: Stopping | undefined;
    for await (const answer of this.#ask({ version: VERSION, ask: keep ? 'stop-keep' : 'stop' }))
      if ('stopping' in answer) stopping = { instance: answer.stopping, keeps: answer.keeps ?? keep };
    if (stopping === undefined) throw protocolError('incomplete answer: name of the director missing');
    return stopping;
  }

  async drain(server: string): Promise<DrainedServer> {
    return only(await this.#drained({ version: VERSION, ask: 'drain', server }));
  }

  async undrain(server: string): Promise<DrainedServer> {
    return only(await this.#drained({ version: VERSION, ask: 'undrain', server }));
  }

  drained(): Promise<readonly DrainedServer[]> {
    return this.#drained({ version: VERSION, ask: 'drained' });
  }

  deny(request: DenyRequest): Promise<DeniedClient> {
    return this.#denied({ version: VERSION, ask: 'deny', request });
  }

  undeny(address: string, service: ServiceAddress | undefined): Promise<DeniedClient> {
    return this.#denied({
      version: VERSION,
      ask: 'undeny',
      request: { address, ...(service && { service }) },
    });
  }

  async denied(): Promise<DenyListing> {
    let listing: DenyListing | undefined;
    for await (const answer of this.#ask({ version: VERSION, ask: 'denied' }))
      if ('denyListing' in answer) listing = answer.denyListing;
    return only(listing ? [listing] : []);
  }

  announce(): Promise<AnnouncementListing> {
    return this.#announcements('announce');
  }

  withdraw(): Promise<AnnouncementListing> {
    return this.#announcements('withdraw');
  }

  announcements(): Promise<AnnouncementListing> {
    return this.#announcements('announcements');
  }

  async cluster(): Promise<ClusterStatus | undefined> {
    const found: (ClusterStatus | null)[] = [];
    for await (const answer of this.#ask({ version: VERSION, ask: 'cluster' }))
      if ('cluster' in answer) found.push(answer.cluster);
    if (found.length === 0) throw protocolError('incomplete answer: cluster missing');
    return found[0] ?? undefined;
  }

  async joined(): Promise<readonly JoinedPlace[]> {
    const places: JoinedPlace[] = [];
    for await (const answer of this.#ask({ version: VERSION, ask: 'joined' }))
      if ('joined' in answer) places.push(...answer.joined);
    return places;
  }

  async #announcements(ask: 'announce' | 'withdraw' | 'announcements'): Promise<AnnouncementListing> {
    const listings: AnnouncementListing[] = [];
    for await (const answer of this.#ask({ version: VERSION, ask }))
      if ('announcements' in answer) listings.push(answer.announcements);
    return only(listings);
  }

  async #denied(request: Request): Promise<DeniedClient> {
    const entries: DeniedClient[] = [];
    for await (const answer of this.#ask(request)) if ('denied' in answer) entries.push(answer.denied);
    return only(entries);
  }

  async #drained(request: Request): Promise<readonly DrainedServer[]> {
    const servers: DrainedServer[] = [];
    for await (const answer of this.#ask(request)) if ('drained' in answer) servers.push(...answer.drained);
    return servers;
  }

  async explain(octets: Uint8Array): Promise<Explanation> {
    let explanation: Explanation | undefined;
    const packet = Buffer.from(octets).toString('base64');
    for await (const answer of this.#ask({ version: VERSION, ask: 'explain', octets: packet }))
      if ('explanation' in answer) explanation = answer.explanation;
    if (!explanation) throw protocolError('incomplete answer: explanation missing');
    return explanation;
  }

  async *capture(service: ServiceAddress): AsyncGenerator<CapturedPackets> {
    for await (const answer of this.#ask({ version: VERSION, ask: 'capture', service }))
      if ('captured' in answer) yield answer.captured;
  }

  /** Closes the connection, if it is open. */
  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#octets = undefined;
    this.#reader = new LineReader(MAX_ANSWER_LINE_BYTES);
    this.#lines = [];
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Yields the lines of an answer except the last. Closes the connection if the answer is not read completely. */
  async *#ask(request: Request): AsyncGenerator<Answer> {
    const socket = await this.#connected();
    let isWhole = false;
    try {
      socket.write(`${JSON.stringify(request)}\n`);
      for (;;) {
        const answer = parseObject(await this.#line()) as unknown as Answer;
        if ('error' in answer) throw errorOf(answer.error);
        if ('end' in answer) break;
        yield answer;
      }
      isWhole = true;
    } finally {
      if (!isWhole) this.close();
    }
  }

  async #connected(): Promise<Socket> {
    if (this.#socket) return this.#socket;
    const socket = connect(this.#path);
    try {
      await once(socket, 'connect');
    } catch (cause) {
      throw unreachable(this.#path, cause as NodeJS.ErrnoException);
    }
    socket.on('error', () => {}); // the next read reports it
    this.#socket = socket;
    this.#octets = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    return socket;
  }

  async #line(): Promise<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      const octets = await this.#more();
      this.#lines = this.#reader.push(octets);
    }
  }

  /** Reads more data. The timeout covers only the time of the director, not that of the reader of a listing. */
  async #more(): Promise<Buffer> {
    const socket = this.#socket!;
    const late = new LvsError(
      'UNAVAILABLE',
      `${this.#path}: no answer from the director in ${this.#timeout / 1000} s`,
    );
    const timer = setTimeout(() => socket.destroy(late), this.#timeout);
    try {
      const { done, value } = await this.#octets!.next();
      if (!done) return value;
    } catch (cause) {
      if (cause instanceof LvsError) throw cause;
      throw new LvsError('UNAVAILABLE', `${this.#path}: the director closed the connection`, { cause });
    } finally {
      clearTimeout(timer);
    }
    throw new LvsError('UNAVAILABLE', `${this.#path}: the director closed the connection`);
  }
}

/** Returns the one answer. Throws LvsError PROTOCOL. */
function only<T>([first]: readonly T[]): T {
  if (first === undefined) throw protocolError('incomplete answer: the object of the request missing');
  return first;
}

function* batches<T>(commands: readonly T[]): Generator<T[]> {
  let batch: T[] = [];
  let size = 0;
  for (const command of commands) {
    batch.push(command);
    size += JSON.stringify(command).length;
    if (size < BATCH_BYTES && batch.length < MAX_COMMANDS) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}

const errorOf = ({ code, message }: { code: ErrorCode; message: string }): LvsError =>
  new LvsError(code, message);

function unreachable(path: string, cause: NodeJS.ErrnoException): LvsError {
  const why: Readonly<Record<string, string>> = {
    ENOENT: 'socket not found: no director is running (or it uses another --socket)',
    ECONNREFUSED: 'connection refused: the director is no longer running',
    EACCES: 'permission denied: only the owner and the group of the socket may use it',
  };
  const reason = why[cause.code ?? ''] ?? cause.message;
  return new LvsError('UNAVAILABLE', `${path}: ${reason}`, { cause });
}
