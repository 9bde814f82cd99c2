/** Announces this server to directors by heartbeats to a multicast group, and answers their questions. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { bindSender, scoped, viaInterface } from '../../host/multicast.ts';
import {
  decodeChallenge,
  encodeHeartbeat,
  kindOf,
  MAX_ANSWERS,
  RUN_BYTES,
} from '../../join/heartbeat-codec.ts';
import type { Place, ServerState } from '../../join/member.ts';
import type { Say } from '../../model/level.ts';
import { isTagged } from '../../wire/message-tag.ts';
import type { AgentWords } from './agent-words.ts';

/** Heartbeats do not leave the segment. */
const TTL = 1;
/** Questions that are verified within a period. */
const MAX_QUESTIONS = 64;
/** Heartbeats that announce that this server leaves, and ms between them: two may be lost. */
const FAREWELLS = 3;
const FAREWELL_MS = 50;
const MAX_DIRECTORS = 64;

export interface JoinAgentOptions {
  readonly node: string;
  /** With the weight at full capacity. */
  readonly places: readonly Place[];
  readonly interface: string;
  readonly group: string;
  readonly port: number;
  /** ms between two heartbeats. */
  readonly period: number;
  /** The first one signs. */
  readonly keys: readonly Uint8Array[];
  readonly words: AgentWords;
  readonly say: Say;
}

export class JoinAgent implements Disposable {
  readonly #options: JoinAgentOptions;
  /** Another run of this server never has the same number. */
  readonly #run = randomBytes(RUN_BYTES).toString('hex');
  #counter = 0;
  #end: 'draining' | 'leaving' | undefined;
  #shown: string | undefined;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #answers = new Set<string>();
  #questions = 0;
  readonly #directors = new Set<string>();
  #problem: string | undefined;

  constructor(options: JoinAgentOptions) {
    this.#options = options;
  }

  /** Resolves when the first heartbeat was sent, or could not be: it is tried again then. */
  async start(): Promise<void> {
    await this.#beat();
    this.#timer = setInterval(() => void this.#beat(), this.#options.period);
  }

  /** Asks for no new connections. Resolves when directors know it, if heartbeats are not lost. */
  async drain(): Promise<void> {
    this.#end = 'draining';
    await this.#repeat();
    await sleep(2 * this.#options.period);
  }

  /** Asks to be removed, and sends nothing more. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    this.#end = 'leaving';
    await this.#repeat();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#options.words[Symbol.dispose]();
    this.#close();
  }

  async #repeat(): Promise<void> {
    for (let i = 0; i < FAREWELLS; i++) {
      await this.#beat();
      await sleep(FAREWELL_MS);
    }
  }

  async #beat(): Promise<void> {
    const { node, group, port, keys } = this.#options;
    this.#questions = 0;
    const { state, places } = this.#announcement();
    this.#say(state, places[0]?.weight ?? 0);
    try {
      this.#socket ??= await this.#open();
      const answers = [...this.#answers];
      this.#answers.clear();
      const beat = { node, run: this.#run, state, places, counter: ++this.#counter, answers };
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

  #announcement(): { readonly state: ServerState; readonly places: readonly Place[] } {
    const { places, words } = this.#options;
    const { isReady, isDraining, percent } = words.capacity;
    const state = this.#end ?? (!isReady ? 'joining' : isDraining ? 'draining' : 'up');
    const share = state === 'up' ? percent / 100 : 0;
    const weightOf = ({ weight }: Place) => (share === 0 ? 0 : Math.max(1, Math.round(weight * share)));
    return { state, places: places.map((place) => ({ ...place, weight: weightOf(place) })) };
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

  #say(state: ServerState, weight: number): void {
    const text = state === 'up' ? 'up' : state;
    if (text === this.#shown) return;
    this.#shown = text;
    const { node, places, say } = this.#options;
    say(`join: ${node} is ${text}, with weight ${weight} in ${places.length} services`);
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
