/**
 * What has to be known of a control connection between two packets: positions in both streams, the line that is being read,
 * and the changes that later segments depend on. It has a fixed size, so that the memory of the connection table can hold it.
 *
 * Positions are sequence numbers of TCP, modulo 2^32. Those of replies count as the server sends them: once the length of a
 * reply has changed, the client receives the same bytes at other positions (sequence.ts).
 */

/** Words of a state. */
export const STATE_WORDS = 64;
/** Changes that are remembered, so that what a server sends again is changed again. */
export const MAX_CHANGES = 8;
/** Announced data connections that have not begun yet. */
export const MAX_EXPECTED = 8;
/** Bytes of the longest command that is read: EPRT with an IPv6 address takes 55. */
export const COMMAND_BYTES = 56;
/** Bytes of the longest run of digits and commas in a reply: six numbers take 23. */
export const NUMBER_BYTES = 24;

/* Offsets in words. The first two name the connection whose state it is (src/table/control-slots.ts). */
const FLAGS = 2;
const CLIENT_NEXT = 3;
const SERVER_NEXT = 4;
const SHIFT = 5;
const ACKNOWLEDGED = 6;
const MULTI_LINE = 7;
const CHANGE_COUNT = 8;
const EXPECTED_TURN = 9;
/** Six bytes: see the accessors. */
const BYTES = 10;
const CHANGES = 12;
const EXPECTED = CHANGES + 2 * MAX_CHANGES;
const COMMAND = EXPECTED + 2 * MAX_EXPECTED;
const NUMBER = COMMAND + COMMAND_BYTES / 4;

/** `commandLength` of a line that is too long to be of interest. */
export const TOO_LONG = 0xff;

/* Flags. */
const CLIENT_KNOWN = 1;
const SERVER_KNOWN = 2;
const OPAQUE = 4;
/** As SLOT_PROVEN in src/table/control-slots.ts. */
const PROVEN = 8;

/* Offsets in bytes. */
const SERVER_PHASE = 4 * BYTES;
const MATCHED = SERVER_PHASE + 1;
const NUMBER_LENGTH = SERVER_PHASE + 2;
const AWAITED = SERVER_PHASE + 3;
const COMMAND_LENGTH = SERVER_PHASE + 4;

/** Set in the second word of a change whose bytes stay what they are. */
const SAME_BYTES = 1 << 16;

/** The state of one control connection; reused. `words` is a copy of what is kept. */
export class ControlState {
  readonly words = new Int32Array(STATE_WORDS);
  readonly #bytes = new Uint8Array(this.words.buffer);
  /** The command that the client is sending, without its end. */
  readonly command = this.#bytes.subarray(4 * COMMAND, 4 * COMMAND + COMMAND_BYTES);
  /** Digits and commas, or the code, of the reply that the server is sending. */
  readonly number = this.#bytes.subarray(4 * NUMBER, 4 * NUMBER + NUMBER_BYTES);

  /** Changes of addresses since `open`. */
  added = 0;

  /** Takes over a state that is kept; one that no director can have left is replaced by an empty one. */
  open(words: Int32Array): void {
    this.words.set(words);
    this.added = 0;
    if (!this.#isPossible) this.words.fill(0, FLAGS);
  }

  /** Reports whether all counts are within their bounds. */
  get #isPossible(): boolean {
    const { changes, numberLength, commandLength } = this;
    const isCommand = commandLength <= COMMAND_BYTES || commandLength === TOO_LONG;
    if (changes < 0 || changes > MAX_CHANGES || numberLength > NUMBER_BYTES || !isCommand) return false;
    return this.matched <= numberLength && this.words[EXPECTED_TURN]! >= 0;
  }

  /** Position of the next byte from the client; undefined: not known yet. */
  get clientNext(): number | undefined {
    return this.#has(CLIENT_KNOWN) ? this.words[CLIENT_NEXT]! : undefined;
  }

  set clientNext(position: number) {
    this.words[FLAGS]! |= CLIENT_KNOWN;
    this.words[CLIENT_NEXT] = position;
  }

  /** Position of the next byte from the server; undefined: not known yet. */
  get serverNext(): number | undefined {
    return this.#has(SERVER_KNOWN) ? this.words[SERVER_NEXT]! : undefined;
  }

  set serverNext(position: number) {
    this.words[FLAGS]! |= SERVER_KNOWN;
    this.words[SERVER_NEXT] = position;
  }

  /** The client has acknowledged what the server sent: its address is not forged. */
  get isProven(): boolean {
    return this.#has(PROVEN);
  }

  setProven(): void {
    this.words[FLAGS]! |= PROVEN;
  }

  /** Lines cannot be read: the connection is encrypted. */
  get isOpaque(): boolean {
    return this.#has(OPAQUE);
  }

  setOpaque(): void {
    this.words[FLAGS]! |= OPAQUE;
  }

  /** By how much all changes before the remembered ones have moved what the server sends, bytes. */
  get shift(): number {
    return this.words[SHIFT]!;
  }

  /** By how much all changes so far have moved what the server sends, bytes. */
  get totalShift(): number {
    let total = this.shift;
    for (let change = 0; change < this.changes; change++)
      total += this.newLength(change) - this.length(change);
    return total;
  }

  /** Clears the state: of both streams only that is known by how much the positions of the server's have moved. */
  beginShifted(bytes: number): void {
    this.words.fill(0, FLAGS);
    this.words[SHIFT] = bytes;
  }

  /** The highest position that the client has acknowledged, as the client counts. */
  get acknowledged(): number {
    return this.words[ACKNOWLEDGED]!;
  }

  set acknowledged(position: number) {
    this.words[ACKNOWLEDGED] = position;
  }

  /** The code of the reply of several lines that the server is sending; 0: none. */
  get multiLine(): number {
    return this.words[MULTI_LINE]!;
  }

  set multiLine(code: number) {
    this.words[MULTI_LINE] = code;
  }

  /** Where in a line the server is: a number of PHASE in server-lines.ts. */
  get phase(): number {
    return this.#bytes[SERVER_PHASE]!;
  }

  set phase(phase: number) {
    this.#bytes[SERVER_PHASE] = phase;
  }

  /** Bytes of the server's own address that the reply has shown so far. */
  get matched(): number {
    return this.#bytes[MATCHED]!;
  }

  set matched(bytes: number) {
    this.#bytes[MATCHED] = bytes;
  }

  /** Bytes of `number`. */
  get numberLength(): number {
    return this.#bytes[NUMBER_LENGTH]!;
  }

  set numberLength(bytes: number) {
    this.#bytes[NUMBER_LENGTH] = bytes;
  }

  /** Commands PASV and EPSV whose replies have not come yet. */
  get awaited(): number {
    return this.#bytes[AWAITED]!;
  }

  set awaited(replies: number) {
    this.#bytes[AWAITED] = replies;
  }

  /** Bytes of `command`; more than it has: the line is of no interest. */
  get commandLength(): number {
    return this.#bytes[COMMAND_LENGTH]!;
  }

  set commandLength(bytes: number) {
    this.#bytes[COMMAND_LENGTH] = bytes;
  }

  /** Remembered changes, oldest first. */
  get changes(): number {
    return this.words[CHANGE_COUNT]!;
  }

  /** Position of the first byte of a change. */
  start(change: number): number {
    return this.words[CHANGES + 2 * change]!;
  }

  /** Bytes of a change as the server sends them. */
  length(change: number): number {
    return this.words[CHANGES + 2 * change + 1]! & 0xff;
  }

  /** Bytes of a change as the client receives them. */
  newLength(change: number): number {
    return (this.words[CHANGES + 2 * change + 1]! >> 8) & 0xff;
  }

  /** Reports whether the bytes of a change stay the same: they were withheld until that was known. */
  isKept(change: number): boolean {
    return (this.words[CHANGES + 2 * change + 1]! & SAME_BYTES) !== 0;
  }

  /** Makes room for a change; returns false if too many are remembered that the client has not acknowledged. */
  makeRoom(): boolean {
    return this.changes < MAX_CHANGES || this.#forgetOldest();
  }

  /** Adds the newest change, for which there must be room. */
  addChange(start: number, length: number, newLength: number, isKept: boolean): void {
    const at = CHANGES + 2 * this.words[CHANGE_COUNT]!++;
    if (!isKept) this.added++;
    this.words[at] = start;
    this.words[at + 1] = length | (newLength << 8) | (isKept ? SAME_BYTES : 0);
  }

  /** Forgets changes so far behind `position` that positions could be confused. */
  forgetBefore(position: number): void {
    while (this.changes > 0 && ((position - this.start(0)) | 0) > MAX_DISTANCE) this.#forget();
  }

  /** Replaces an expected connection, in turn, and returns the former one: its row plus 1, 0 for none, and its order. */
  expect(row: number, order: number): readonly [row: number, order: number] {
    const turn = this.words[EXPECTED_TURN]! % MAX_EXPECTED;
    this.words[EXPECTED_TURN] = turn + 1;
    const at = EXPECTED + 2 * turn;
    const former = [this.words[at]!, this.words[at + 1]!] as const;
    this.words[at] = row;
    this.words[at + 1] = order;
    return former;
  }

  #has(flag: number): boolean {
    return (this.words[FLAGS]! & flag) !== 0;
  }

  #forgetOldest(): boolean {
    const end = this.start(0) + this.shift + this.newLength(0);
    if (((end - this.acknowledged) | 0) > 0) return false;
    this.#forget();
    return true;
  }

  #forget(): void {
    const { words } = this;
    words[SHIFT]! += this.newLength(0) - this.length(0);
    words.copyWithin(CHANGES, CHANGES + 2, CHANGES + 2 * MAX_CHANGES);
    words[CHANGE_COUNT]!--;
  }
}

/** Positions are compared modulo 2^32: a change this far behind has no segments any more. */
const MAX_DISTANCE = 2 ** 29;
