/** A session on the control socket of BIRD: one command at a time, with limits of time and size. */
import { connect, type Socket } from 'node:net';
import { AnnounceError, type AnnounceErrorKind } from './announce-error.ts';
import { errorOf, type Reply, ReplyReader } from './bird-reply.ts';

/** Maximum time for one reply, ms. */
export const REPLY_MS = 5000;
/** Code of the first line of a session. */
const WELCOME = 1;

const CONNECT_ERRORS: Readonly<Record<string, readonly [AnnounceErrorKind, string]>> = {
  ENOENT: ['not-running', 'socket not found: BIRD is not running, or has another socket'],
  ECONNREFUSED: ['not-running', 'connection refused: BIRD is not running'],
  EACCES: ['not-permitted', "permission denied: add the director's user to the group of the socket"],
};

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: AnnounceError) => void;
}

export class BirdSession implements Disposable {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #timeout: number;
  readonly #reader = new ReplyReader();
  #waiting: Waiting | undefined;
  #error: AnnounceError | undefined;

  private constructor(path: string, timeout: number) {
    this.#path = path;
    this.#timeout = timeout;
    this.#socket = connect(path);
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#receive(text));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(this.#errorOf(error)));
    this.#socket.on('close', () =>
      this.#fail(new AnnounceError('not-running', `${path}: BIRD closed the connection`)),
    );
  }

  /** Resolves with a session. Throws AnnounceError. `timeout`: for each reply, ms. */
  static async open(path: string, timeout = REPLY_MS): Promise<BirdSession> {
    const session = new BirdSession(path, timeout);
    try {
      const [first] = await session.#reply();
      if (first?.code !== WELCOME)
        throw new AnnounceError('invalid-answer', `${path}: the first line is not that of BIRD`);
      return session;
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    }
  }

  /** False after an error: the session is over. */
  get isOpen(): boolean {
    return this.#error === undefined;
  }

  /** Resolves with the reply, which may be an error of the command. Throws AnnounceError. */
  ask(command: string): Promise<Reply> {
    const reply = this.#reply();
    this.#socket.write(`${command}\n`);
    return reply;
  }

  /** Like `ask`, and throws AnnounceError `refused` if the reply is an error. */
  async must(command: string): Promise<Reply> {
    const reply = await this.ask(command);
    const error = errorOf(reply);
    if (error !== undefined) throw new AnnounceError('refused', `BIRD refuses \`${command}\`: ${error}`);
    return reply;
  }

  [Symbol.dispose](): void {
    this.#fail(new AnnounceError('not-running', `${this.#path}: the session is closed`));
  }

  #reply(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#error) {
        reject(this.#error);
        return;
      }
      const timer = setTimeout(
        () =>
          this.#fail(
            new AnnounceError('timeout', `${this.#path}: no answer within ${this.#timeout / 1000} s`),
          ),
        this.#timeout,
      );
      const settled = () => {
        clearTimeout(timer);
        this.#waiting = undefined;
      };
      this.#waiting = {
        resolve: (reply) => {
          settled();
          resolve(reply);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
    });
  }

  #receive(text: string): void {
    try {
      for (const reply of this.#reader.push(text)) {
        if (!this.#waiting) throw new AnnounceError('invalid-answer', 'a reply to no command');
        this.#waiting.resolve(reply);
      }
    } catch (error) {
      if (!(error instanceof AnnounceError)) throw error;
      this.#fail(new AnnounceError(error.kind, `${this.#path}: ${error.message}`));
    }
  }

  #fail(error: AnnounceError): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#waiting?.reject(this.#error);
  }

  #errorOf(cause: NodeJS.ErrnoException): AnnounceError {
    const [kind, text] = CONNECT_ERRORS[cause.code ?? ''] ?? ['not-running', cause.message];
    return new AnnounceError(kind, `${this.#path}: ${text}`, { cause });
  }
}
