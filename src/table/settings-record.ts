/** The settings' record: what programs read about the table, its clock, timeouts, states and settings. */
import { DEFAULT_SETTINGS, type SettingName, type Settings } from '../model/settings.ts';
import type { Address } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';
import { LAYOUT_VERSION, layoutDigest } from './layout.ts';
import type { TableMemory } from './memory.ts';
import { SETTINGS, SETTINGS_BYTES } from './record-layout.ts';
import type { Ticks } from './ticks.ts';

/** Bits of the number of a bit of `servers`, and characters of the digest that are kept. */
const SERVER_BITS = 13;
const DIGEST_LENGTH = 8;
const NAMES = Object.keys(DEFAULT_SETTINGS) as SettingName[];
const TCP_STATES = 16;
const STATES_PER_WORD = 16;
/** Senders and events of `transitions`. */
const SENDERS = 3;
const EVENTS = 4;

/** Returns the state after a segment: `event` is its flag, 0 RST, 1 SYN, 2 FIN, 3 ACK; -1: none. */
export type Transition = (state: number, sender: number, event: number) => number;

/** Timeouts of states in ms. */
export interface StateTimeoutsInMs {
  readonly tcp: ArrayLike<number>;
  readonly udp: ArrayLike<number>;
}

/** Returns the characters of the digest that a record has. */
export const layoutCharacters = (): string => layoutDigest().slice(0, DIGEST_LENGTH);

/** Returns the number of the bit of `servers` that stands for an address. */
export const serverBit = (address: Address): number => mix(address[3]!) >>> (32 - SERVER_BITS);

/** Returns the offset of a setting of net.ipv4.vs. */
export const sysctlOffset = (name: SettingName): number => SETTINGS.sysctls + 4 * NAMES.indexOf(name);

/** Returns the words of the record that is in `memory`. */
export function settingsWords(memory: TableMemory): Uint32Array<ArrayBuffer> {
  const { buffer, offset } = memory.reserve('settings', SETTINGS_BYTES);
  return new Uint32Array(buffer, offset, SETTINGS_BYTES / 4);
}

/**
 * Returns a function that returns the next identification of an IPv4 header, 0..65535; programs that share `memory` draw from the
 * same numbers. `first`: where they begin in new memory, 1..65536.
 */
export function identifications(memory: TableMemory, first: number): () => number {
  const words = settingsWords(memory);
  const at = SETTINGS.identification >> 2;
  Atomics.compareExchange(words, at, 0, first);
  return () => Atomics.add(words, at, 1) & 0xffff;
}

export class SettingsRecord {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly #longs: BigUint64Array<ArrayBuffer>;

  constructor(memory: TableMemory) {
    this.words = settingsWords(memory);
    const { buffer, byteOffset } = this.words;
    this.#longs = new BigUint64Array(buffer, byteOffset, SETTINGS_BYTES / 8);
    this.set(SETTINGS.version, LAYOUT_VERSION);
    const digest = Buffer.from(layoutCharacters());
    this.set(SETTINGS.digest, digest.readUInt32LE(0));
    this.set(SETTINGS.digest + 4, digest.readUInt32LE(4));
    this.set(SETTINGS.transitionsInUse, SETTINGS.transitions);
  }

  /** Writes a field of 4 bytes. */
  set(field: number, value: number): void {
    this.words[field >> 2] = value;
  }

  get(field: number): number {
    return this.words[field >> 2]!;
  }

  /** Writes the words of `Homes`. */
  setSecrets(secrets: Uint32Array): void {
    this.words.set(secrets, SETTINGS.secrets >> 2);
  }

  /** Writes the timeouts in ticks. */
  setTimeouts({ tcp, udp }: StateTimeoutsInMs, ticks: Ticks): void {
    for (let state = 0; state < Math.min(tcp.length, TCP_STATES); state++)
      this.set(SETTINGS.tcpTimeouts + 4 * state, ticks.timeout(tcp[state]!));
    this.set(SETTINGS.udpTimeout, ticks.timeout(udp[0]!));
  }

  setSysctls(settings: Readonly<Settings>): void {
    for (const name of NAMES) this.set(sysctlOffset(name), settings[name]);
  }

  /** Writes a table of transitions at `field`: `transitions` or `secureTransitions`. `states`: how many the protocol has. */
  setTransitions(field: number, states: number, next: Transition): void {
    for (let sender = 0; sender < SENDERS; sender++) {
      for (let event = 0; event < EVENTS; event++)
        this.#longs[(field >> 3) + EVENTS * sender + event] = nibbles(states, (state) =>
          next(state, sender, event),
        );
      this.#longs[(field >> 3) + EVENTS * SENDERS + sender] = nibbles(states, (state) =>
        next(state, sender, -1),
      );
    }
  }

  /** Replaces the bits of the addresses that replies come from. */
  setServers(addresses: Iterable<Address>): void {
    const first = SETTINGS.servers >> 2;
    const bits = new Uint32Array(2 ** SERVER_BITS / 32);
    for (const address of addresses) {
      const bit = serverBit(address);
      bits[bit >>> 5]! |= 1 << (bit & 31);
    }
    // Those that stay set are never clear meanwhile, because each word is written once.
    this.words.set(bits, first);
  }
}

/** Returns a word with one nibble for each state; states that the protocol does not have stay what they are. */
function nibbles(states: number, next: (state: number) => number): bigint {
  let word = 0n;
  for (let state = 0; state < STATES_PER_WORD; state++)
    word |= BigInt(state < states ? next(state) : state) << BigInt(4 * state);
  return word;
}
