/** A map by address that makes no strings. No choice of addresses slows it: each word of an address is looked up apart. */
import { type Address, isV4 } from './address.ts';

/** What is known by the next word of an address; of the last word, the value. */
type Level<Next> = Map<number, Next>;

export class AddressMap<Value> {
  /** Number of addresses. */
  size = 0;
  readonly #v4: Level<Value> = new Map();
  readonly #v6: Level<Level<Level<Level<Value>>>> = new Map();

  get(address: Address): Value | undefined {
    return this.#last(address)?.get(address[3]! | 0);
  }

  has(address: Address): boolean {
    return this.#last(address)?.has(address[3]! | 0) ?? false;
  }

  /** Keeps no reference to `address`. */
  set(address: Address, value: Value): void {
    const last = this.#last(address) ?? this.#makeLast(address);
    const { size } = last;
    last.set(address[3]! | 0, value);
    this.size += last.size - size;
  }

  delete(address: Address): void {
    if (this.#last(address)?.delete(address[3]! | 0) !== true) return;
    this.size--;
    if (isV4(address)) return;
    const [first, second, third] = [address[0]! | 0, address[1]! | 0, address[2]! | 0];
    const seconds = this.#v6.get(first)!;
    const thirds = seconds.get(second)!;
    if (thirds.get(third)!.size === 0) thirds.delete(third);
    if (thirds.size === 0) seconds.delete(second);
    if (seconds.size === 0) this.#v6.delete(first);
  }

  clear(): void {
    this.#v4.clear();
    this.#v6.clear();
    this.size = 0;
  }

  #last(address: Address): Level<Value> | undefined {
    if (isV4(address)) return this.#v4;
    return this.#v6
      .get(address[0]! | 0)
      ?.get(address[1]! | 0)
      ?.get(address[2]! | 0);
  }

  #makeLast(address: Address): Level<Value> {
    const seconds = inner(this.#v6, address[0]!);
    const thirds = inner(seconds, address[1]!);
    return inner(thirds, address[2]!);
  }
}

/** Returns the map of that word, made if there is none. */
function inner<Next>(level: Level<Level<Next>>, word: number): Level<Next> {
  const known = level.get(word | 0);
  if (known) return known;
  const made: Level<Next> = new Map();
  level.set(word | 0, made);
  return made;
}
