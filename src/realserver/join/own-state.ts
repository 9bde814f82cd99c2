/** What this server says of itself, whatever brings it to directors. */
import { randomBytes } from 'node:crypto';
import { RUN_BYTES } from '../../join/heartbeat-codec.ts';
import type { Announcement, Place } from '../../join/member.ts';
import type { Say } from '../../model/level.ts';
import type { AgentWords } from './agent-words.ts';

/** Brings the announcements of this server to directors. */
export interface Announcer extends Disposable {
  /** Resolves when the first announcement was sent, or could not be: it is tried again then. */
  start(): Promise<void>;
  /** Asks for no new connections. Resolves when directors know it, if they can be reached. */
  drain(): Promise<void>;
  /** Asks to be removed, and announces nothing more. */
  leave(): Promise<void>;
}

export interface OwnStateOptions {
  readonly node: string;
  /** With the weight at full capacity. */
  readonly places: readonly Place[];
  readonly words: AgentWords;
  readonly say: Say;
}

export class OwnState implements Disposable {
  readonly #options: OwnStateOptions;
  /** Another run of this server never has the same number. */
  readonly #run = randomBytes(RUN_BYTES).toString('hex');
  /** Why it takes no connections any more. */
  end: 'draining' | 'leaving' | undefined;
  #shown: string | undefined;

  constructor(options: OwnStateOptions) {
    this.#options = options;
  }

  /** Returns what is to be announced now, and logs changes of the state. */
  announcement(): Announcement {
    const { node, places: full, words } = this.#options;
    const { isReady, isDraining, percent } = words.capacity;
    const state = this.end ?? (!isReady ? 'joining' : isDraining ? 'draining' : 'up');
    const share = state === 'up' ? percent / 100 : 0;
    const weightOf = ({ weight }: Place) => (share === 0 ? 0 : Math.max(1, Math.round(weight * share)));
    const places = full.map((place) => ({ ...place, weight: weightOf(place) }));
    this.#say(state, places[0]?.weight ?? 0);
    return { node, run: this.#run, state, places };
  }

  [Symbol.dispose](): void {
    this.#options.words[Symbol.dispose]();
  }

  #say(state: string, weight: number): void {
    if (state === this.#shown) return;
    this.#shown = state;
    const { node, places, say } = this.#options;
    say(`join: ${node} is ${state}, with weight ${weight} in ${places.length} services`);
  }
}
