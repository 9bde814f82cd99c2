/**
 * Clients of a pair of directors: connections that stay, each of which sends a request once a second, and new ones, one every
 * 50 ms. For each line of its standard input it sends a request on every connection that stays, waits for all answers or
 * ends, and prints what happened since the line before:
 * `held 200 of 200, new 500: 0 refused, 0 reset, 0 unanswered; silent for 0 ms`. Silent: the longest time of which no new
 * connection was answered at once.
 *
 *   node dist/test/support/pair-client.js 192.168.0.101 80 200 10000
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const [host = '', port = '', count = '', limit = '3000'] = process.argv.slice(2);
const REQUEST = 'GET / HTTP/1.1\r\nHost: vip\r\n\r\n';
const SEND_MS = 1000;
const NEW_MS = 50;
/** ms after which an attempt counts as silent. */
const SILENT_MS = 150;
/** How long a held connection may take to answer after an event. */
const ANSWER_MS = 60_000;

/** A connection that stays. */
class Held {
  readonly #socket: Socket;
  #sent = 0;
  #answered = 0;
  #waiting: (() => void)[] = [];
  hasEnded = false;

  constructor(connected: () => void) {
    this.#socket = connect(Number(port), host, connected);
    let text = '';
    this.#socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
      for (let at = text.indexOf('I am'); at >= 0; at = text.indexOf('I am')) {
        text = text.slice(at + 4);
        this.#answered++;
      }
      if (this.#answered === this.#sent) this.#settle();
    });
    const end = () => {
      this.hasEnded = true;
      this.#settle();
    };
    this.#socket.on('error', end).on('close', end);
  }

  send(): void {
    if (this.hasEnded) return;
    this.#sent++;
    this.#socket.write(REQUEST);
  }

  /** Resolves with whether the connection answers all requests. */
  async answers(): Promise<boolean> {
    this.send();
    const answered = new Promise<void>((resolve) => this.#waiting.push(resolve));
    await Promise.race([answered, sleep(ANSWER_MS)]);
    return !this.hasEnded && this.#answered >= this.#sent;
  }

  #settle(): void {
    for (const done of this.#waiting.splice(0)) done();
  }
}

const held: Held[] = [];
for (let i = 0; i < Number(count); i++) await new Promise<void>((resolve) => held.push(new Held(resolve)));
setInterval(() => {
  for (const each of held) each.send();
}, SEND_MS);
process.stdout.write('connected\n');

/** Attempts that began between two lines. */
class Attempts {
  total = 0;
  refused = 0;
  reset = 0;
  unanswered = 0;
  /** Starts of attempts, ms, with whether they were answered within SILENT_MS. */
  readonly #starts: { readonly at: number; isSilent: boolean }[] = [];
  readonly #pending = new Set<Promise<void>>();

  begin(): void {
    const start = { at: performance.now(), isSilent: false };
    this.#starts.push(start);
    this.total++;
    const socket = connect(Number(port), host, () => socket.write(REQUEST));
    const silent = setTimeout(() => {
      start.isSilent = true;
    }, SILENT_MS);
    const late = setTimeout(() => {
      this.unanswered++;
      socket.destroy();
    }, Number(limit));
    socket.on('data', () => {
      clearTimeout(silent);
      socket.end();
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED') this.refused++;
      else this.reset++;
    });
    const ended = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    this.#pending.add(ended);
    void ended.then(() => {
      clearTimeout(late);
      clearTimeout(silent);
      this.#pending.delete(ended);
    });
  }

  /** Resolves when all of them have a result. */
  async end(): Promise<string> {
    await Promise.all(this.#pending);
    return `new ${this.total}: ${this.refused} refused, ${this.reset} reset, ${this.unanswered} unanswered; silent for ${this.#silence()} ms`;
  }

  /** Returns the time from the first to the last of the most silent attempts in a row, ms. */
  #silence(): number {
    let longest = 0;
    let from: number | undefined;
    for (const { at, isSilent } of this.#starts) {
      from = isSilent ? (from ?? at) : undefined;
      if (from !== undefined) longest = Math.max(longest, at - from);
    }
    return Math.round(longest);
  }
}

let attempts = new Attempts();
setInterval(() => attempts.begin(), NEW_MS);

for await (const _ of createInterface({ input: process.stdin })) {
  const alive = (await Promise.all(held.map((each) => each.answers()))).filter(Boolean).length;
  const before = attempts;
  attempts = new Attempts();
  process.stdout.write(`held ${alive} of ${held.length}, ${await before.end()}\n`);
}
process.exit(0);
