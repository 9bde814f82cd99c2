/** Announces this server to directors by heartbeats to a multicast group, and answers their questions. */
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { bindSender, scoped, viaInterface } from '../../host/multicast.ts';
import { decodeChallenge, encodeHeartbeat, kindOf, MAX_ANSWERS } from '../../join/heartbeat-codec.ts';
import type { Say } from '../../model/level.ts';
import { isTagged } from '../../wire/message-tag.ts';
import type { Announcer, OwnState } from './own-state.ts';

/** Heartbeats do not leave the segment. */
const TTL = 1;
/** Questions that are verified within a period. */
const MAX_QUESTIONS = 64;
/** Heartbeats that announce that this server leaves, and ms between them: two may be lost. */
const FAREWELLS = 3;
const FAREWELL_MS = 50;
const MAX_DIRECTORS = 64;

export interface JoinAgentOptions {
  readonly own: OwnState;
  readonly interface: string;
  readonly group: string;
  readonly port: number;
  /** ms between two heartbeats. */
  readonly period: number;
  /** The first one signs. */
  readonly keys: readonly Uint8Array[];
  readonly say: Say;
}

export class JoinAgent implements Announcer {
  readonly #options: JoinAgentOptions;
  #counter = 0;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Of this process. */
  #run = '';
  readonly #answers = new Set<string>();
  #questions = 0;
  readonly #directors = new Set<string>();
  #problem: string | undefined;

  constructor(options: JoinAgentOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#beat();
    this.#timer = setInterval(() => void this.#beat(), this.#options.period);
  }

  async drain(): Promise<void> {
    this.#options.own.end = 'draining';
    await this.#repeat();
    await sleep(2 * this.#options.period);
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    this.#options.own.end = 'leaving';
    await this.#repeat();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#options.own[Symbol.dispose]();
    this.#close();
  }

  async #repeat(): Promise<void> {
    for (let i = 0; i < FAREWELLS; i++) {
      await this.#beat();
      await sleep(FAREWELL_MS);
    }
  }

  async #beat(): Promise<void> {
    const { own, group, port, keys } = this.#options;
    this.#questions = 0;
    const announcement = own.announcement();
    this.#run = announcement.run;
    try {
      this.#socket ??= await this.#open();
      const answers = [...this.#answers];
      this.#answers.clear();
      const beat = { ...announcement, counter: ++this.#counter, answers };
      const datagram = encodeHeartbeat(beat, keys[0]!);
      const to = scoped(this.#options);
      await new Promise<void>((resolve, reject) => {
        this.#socket!.send(datagram, port, to, (error) => (error ? reject(error) : resolve()));
      });
      this.#report(undefined);
    } catch (error) {
      // The interface may have another address, or be up again, at the next heartbeat.
      this.#close();
      this.#report(`heartbeats to ${group} on ${this.#options.interface}: ${(error as Error).message}`);
    }
  }

  async #open(): Promise<Socket> {
    const { group } = this.#options;
    const socket = createSocket(group.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (datagram, { address }) => this.#receive(datagram, address));
    try {
      await bindSender(socket, { ttl: TTL }, viaInterface(this.#options));
      // A director on this host receives it, too.
      socket.setMulticastLoopback(true);
    } catch (error) {
      socket.on('error', () => {}).close();
      throw error;
    }
    socket.on('error', ({ message }) => this.#report(message));
    return socket;
  }

  #receive(datagram: Buffer, from: string): void {
    const { keys, say } = this.#options;
    if (kindOf(datagram) !== 'challenge' || this.#questions >= MAX_QUESTIONS) return;
    this.#questions++;
    if (!isTagged(keys, datagram)) return;
    const challenge = decodeChallenge(datagram);
    if (challenge?.run !== this.#run) return;
    if (this.#answers.size < MAX_ANSWERS) this.#answers.add(challenge.question);
    if (this.#directors.has(from) || this.#directors.size >= MAX_DIRECTORS) return;
    this.#directors.add(from);
    say(`join: the director at ${from} receives the heartbeats of this server`);
  }

  #report(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.say(`join: ${problem ?? 'heartbeats are sent again'}`, problem ? 'warning' : 'info');
  }

  #close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket
        ?.removeAllListeners('error')
        .on('error', () => {})
        .close();
    } catch {
      // It is closed.
    }
  }
}
