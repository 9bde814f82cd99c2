/**
 * Parses a command line like popt: bundles, attached values, `=`, optional arguments, and remaining words.
 */
import type { Spelling } from './options.ts';

/** popt's message for an invalid word. */
export type WordProblem = 'unknown option' | 'missing argument' | 'option does not take an argument';

export type Word =
  | {
      readonly spelling: Spelling;
      /** undefined: no argument. */
      readonly value: string | undefined;
      /** The last word that was used, for messages. */
      readonly text: string;
    }
  | { readonly problem: WordProblem; readonly text: string };

/** Reads a command line, one option at a time. */
export class Words {
  readonly #words: readonly string[];
  readonly #long = new Map<string, Spelling>();
  readonly #short = new Map<string, Spelling>();
  readonly #leftOver: string[] = [];
  #next = 0;
  /** The rest of a bundle, such as the `nc` of `-Lnc`. */
  #bundle = '';
  #bundleWord = '';

  constructor(words: readonly string[], spellings: readonly Spelling[]) {
    this.#words = words;
    for (const spelling of spellings) {
      this.#long.set(spelling.long, spelling);
      if (spelling.short) this.#short.set(spelling.short, spelling);
    }
  }

  /** Returns the words read so far that belong to no option. */
  get leftOver(): readonly string[] {
    return this.#leftOver;
  }

  /** Returns the next option; undefined at the end. */
  next(): Word | undefined {
    if (this.#bundle) return this.#fromBundle();
    while (this.#next < this.#words.length) {
      const word = this.#words[this.#next++]!;
      if (word === '--') {
        this.#leftOver.push(...this.#words.slice(this.#next));
        this.#next = this.#words.length;
        return undefined;
      }
      if (!word.startsWith('-') || word === '-') {
        this.#leftOver.push(word);
        continue;
      }
      if (word.startsWith('--')) return this.#longOption(word);
      this.#bundle = word.slice(1);
      this.#bundleWord = word;
      return this.#fromBundle();
    }
    return undefined;
  }

  #longOption(word: string): Word {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    const spelling = this.#long.get(name);
    if (!spelling) return { problem: 'unknown option', text: word };
    return this.#withArgument(spelling, word, equals < 0 ? undefined : word.slice(equals + 1));
  }

  #fromBundle(): Word {
    const word = this.#bundleWord;
    const spelling = this.#short.get(this.#bundle[0]!);
    const rest = this.#bundle.slice(1);
    this.#bundle = '';
    if (!spelling) return { problem: 'unknown option', text: word };
    if (spelling.argument !== 'none' || rest.startsWith('=')) {
      const attached = rest.startsWith('=') ? rest.slice(1) : rest || undefined;
      return this.#withArgument(spelling, word, attached);
    }
    this.#bundle = rest;
    return { spelling, value: undefined, text: word };
  }

  #withArgument(spelling: Spelling, word: string, attached: string | undefined): Word {
    if (spelling.argument === 'none') {
      return attached === undefined
        ? { spelling, value: undefined, text: word }
        : { problem: 'option does not take an argument', text: word };
    }
    if (attached !== undefined) return { spelling, value: attached, text: word };
    const next = this.#words[this.#next];
    if (spelling.argument === 'optional' && (next === undefined || next.startsWith('-')))
      return { spelling, value: undefined, text: word };
    if (next === undefined) return { problem: 'missing argument', text: word };
    this.#next++;
    return { spelling, value: next, text: next };
  }
}
