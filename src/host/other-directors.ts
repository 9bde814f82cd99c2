/** Finds other directors of this network namespace that serve the same services: both would answer every packet. */
import { connect, createServer, type Server } from 'node:net';
import { readHostFile } from './host-file.ts';

/** Name of a director's abstract socket (unix(7)): known in this network namespace only, gone with the process. */
const PREFIX = 'lvs-director/';
/** Time between two questions to the other directors, ms. */
const QUESTION_INTERVAL_MS = 5000;
const ANSWER_TIMEOUT_MS = 2000;
/** What another program may say under this name, characters. */
const MAX_ANSWER = 1_000_000;

export interface OtherDirector {
  readonly pid: number;
  /** The services that both directors have. */
  readonly services: readonly string[];
}

export class OtherDirectors implements Disposable {
  readonly #server: Server;
  readonly #services: () => readonly string[];
  #found: readonly OtherDirector[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;

  /** `services`: how this director's services are called now; other directors may ask for them. */
  constructor(services: () => readonly string[]) {
    this.#services = services;
    this.#server = createServer((socket) => {
      socket.on('error', () => {});
      socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
      socket.end(services().join('\n'));
    });
    // Another program has the name: then this director cannot be found, and finds others all the same.
    this.#server.on('error', () => {});
    this.#server.listen(`\0${PREFIX}${process.pid}`);
    this.#server.unref();
  }

  /** Returns the directors found by the last question, and asks again from time to time. Does not wait. */
  look(): readonly OtherDirector[] {
    const now = performance.now();
    if (now - this.#askedAt < QUESTION_INTERVAL_MS) return this.#found;
    this.#askedAt = now;
    void Promise.all(
      directorsOf(read())
        .filter((pid) => pid !== process.pid)
        .map(ask),
    ).then((answers) => {
      const own = new Set(this.#services());
      this.#found = answers
        .map(({ pid, services }) => ({ pid, services: services.filter((each) => own.has(each)) }))
        .filter(({ services }) => services.length > 0);
    });
    return this.#found;
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}

/** Returns the process ids of the directors in a listing of /proc/net/unix, where @ stands for NUL and pads names. */
export const directorsOf = (listing: string): number[] => [
  ...new Set([...listing.matchAll(/ @lvs-director\/(\d+)@*$/gm)].map(([, pid]) => Number(pid))),
];

function read(): string {
  try {
    return readHostFile('/proc/self/net/unix');
  } catch {
    return '';
  }
}

function ask(pid: number): Promise<OtherDirector> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(`\0${PREFIX}${pid}`);
    const done = () => {
      socket.destroy();
      resolve({ pid, services: said.split('\n').filter((each) => each !== '') });
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, done);
    socket.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.length > MAX_ANSWER) done();
    });
    socket.on('error', done);
    socket.on('end', done);
  });
}
