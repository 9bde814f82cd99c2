/** Which row controls which: connections of templates, and data connections of FTP. layout.ts explains the words. */
import { NONE, type Row } from '../model/connection.ts';
import { CONTROL } from './layout.ts';
import type { Region, TableMemory } from './memory.ts';

const ALL_BUT_COUNT = ~CONTROL.COUNT;

/** What the rows are that words belong to. */
export interface ControlledRows {
  isInUse(row: Row): boolean;
  /** No program makes a row there. */
  isFree(row: Row): boolean;
  isTemplate(row: Row): boolean;
  generation(row: Row): number;
}

/** Returns the word of a template that controls no row. `generation`: that of its row. */
const wordOf = (generation: number): number =>
  CONTROL.TEMPLATE | ((generation & CONTROL.generations) << CONTROL.generation);

export class Controls {
  readonly #words: Int32Array<ArrayBuffer>;
  /** How many rows each connection controls; made when the first one does. */
  #children: Int32Array<ArrayBuffer> | undefined;
  readonly #memory: TableMemory;
  readonly #rows: number;

  /** `rows`: the bound of row numbers. */
  constructor(memory: TableMemory, rows: number) {
    this.#memory = memory;
    this.#rows = rows;
    this.#words = wordsOf(memory.reserve('templates', rows * 4), rows);
  }

  /** Returns the row that controls this one; NONE if there is none. */
  template(row: Row): Row {
    const word = this.#words[row]!;
    return word > 0 ? word - 1 : NONE;
  }

  /** Returns how many rows this one controls. */
  children(row: Row): number {
    const word = this.#words[row]!;
    if (word < 0) return word & CONTROL.COUNT;
    return this.#children === undefined ? 0 : this.#children[row]!;
  }

  /** The row becomes a template: programs may make connections that it controls as soon as they find it. */
  open(row: Row, generation: number): void {
    Atomics.store(this.#words, row, wordOf(generation));
  }

  /** Sees that programs make no connection any more that the template controls. Returns false if it controls some. */
  close(row: Row): boolean {
    const word = this.#words[row]!;
    if (word >= 0) return true;
    return (word & CONTROL.COUNT) === 0 && Atomics.compareExchange(this.#words, row, word, 0) === word;
  }

  /** Makes `template` control the row. */
  add(row: Row, template: Row): void {
    // Counted first: the count of a killed director is not too low.
    if (this.#words[template]! < 0) Atomics.add(this.#words, template, 1);
    else this.setChildren(template, this.children(template) + 1);
    Atomics.store(this.#words, row, template + 1);
  }

  /** Sets how many rows this one controls. */
  setChildren(row: Row, count: number): void {
    const word = this.#words[row]!;
    if (word < 0) {
      Atomics.add(this.#words, row, count - (word & CONTROL.COUNT));
      return;
    }
    this.#children ??= wordsOf(this.#memory.reserve('children', this.#rows * 4), this.#rows);
    this.#children[row] = count;
  }

  /** The row ends: no row controls it any more, and it is no template. */
  release(row: Row): void {
    const template = this.template(row);
    if (this.#words[row] !== 0) Atomics.store(this.#words, row, 0);
    if (template === NONE) return;
    if (this.#words[template]! < 0) Atomics.sub(this.#words, template, 1);
    else this.setChildren(template, this.children(template) - 1);
  }

  /** The place of a row that was never finished becomes free. */
  clear(row: Row): void {
    Atomics.store(this.#words, row, 0);
  }

  /**
   * Examines what another process has left, and counts the rows of connections that control others. Corrects words of places
   * without a row, and of templates that were about to end. Returns the templates whose counts are wrong and stayed what they
   * are, with the difference: a program may be at work on them. Returns undefined if a row is controlled by none in use.
   */
  examine(rows: ControlledRows): Map<Row, number> | undefined {
    const words = this.#words;
    const counted = new Map<Row, number>();
    const before = words.slice();
    this.#children = undefined;
    for (let row = 0; row < before.length; row++) {
      const word = before[row]!;
      if (word === 0) {
        if (!rows.isInUse(row) || !rows.isTemplate(row)) continue;
        this.open(row, rows.generation(row));
        before[row] = words[row]!;
      } else if (!rows.isInUse(row)) {
        if (rows.isFree(row)) Atomics.compareExchange(words, row, word, 0);
      } else if (rows.isTemplate(row)) {
        const expected = wordOf(rows.generation(row));
        if ((word & ALL_BUT_COUNT) === expected) continue;
        Atomics.compareExchange(words, row, word, expected);
        before[row] = words[row]!;
      } else {
        const template = word - 1;
        if (!(template >= 0 && template < words.length && rows.isInUse(template))) return undefined;
        if (rows.isTemplate(template)) counted.set(template, (counted.get(template) ?? 0) + 1);
        else this.setChildren(template, this.children(template) + 1);
      }
    }
    const differences = new Map<Row, number>();
    for (let row = 0; row < words.length; row++) {
      const word = words[row]!;
      if (word >= 0 || word !== before[row]) continue;
      const difference = (counted.get(row) ?? 0) - (word & CONTROL.COUNT);
      if (difference !== 0) differences.set(row, difference);
    }
    return differences;
  }

  /** Adds the difference to what the template controls. */
  correct(template: Row, difference: number): void {
    Atomics.add(this.#words, template, difference);
  }
}

const wordsOf = ({ buffer, offset }: Region, words: number): Int32Array<ArrayBuffer> =>
  new Int32Array(buffer, offset, words);
