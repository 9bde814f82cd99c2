/** Finds other directors of this network namespace that serve the same services: both would answer every packet. */
import { connect, createServer, type Server } from 'node:net';
import { INSTANCE, instancesIn, pidOf, socketOf, unixSockets } from './director-instances.ts';

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
    this.#server.listen(socketOf(INSTANCE));
    this.#server.unref();
  }

  /** Returns the directors found by the last question, and asks again from time to time. Does not wait. */
  look(): readonly OtherDirector[] {
    const now = performance.now();
    if (now - this.#askedAt < QUESTION_INTERVAL_MS) return this.#found;
    this.#askedAt = now;
    void Promise.all(
      instancesIn(read())
        .filter((instance) => instance !== INSTANCE)
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

function read(): string {
  try {
    return unixSockets();
  } catch {
    return '';
  }
}

function ask(instance: string): Promise<OtherDirector> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(socketOf(instance));
    const done = () => {
      socket.destroy();
      resolve({ pid: pidOf(instance), services: said.split('\n').filter((each) => each !== '') });
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
