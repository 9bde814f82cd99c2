/**
 * The two streams of a control connection, as the segments of TCP that a router between the ends sees: some never arrive, others
 * arrive twice, late, or cut in another way.
 *
 * Lines are read in the order of the stream. A segment that is ahead of it is refused: its sender sends it again. What is sent
 * again becomes what it was before, however it is cut: the changes are remembered by their positions. An address that is cut
 * by the end of a segment is withheld until the rest of it has come; `acknowledgement` explains how the server is kept going.
 */
import type { Announcement } from './announcements.ts';
import { readCommands, skipCommand } from './client-lines.ts';
import type { ControlState } from './control-state.ts';
import { acknowledgement, isBefore, toClient } from './sequence.ts';
import { endReplies, type Octets, type ReplyAddresses, readReplies, skipReply } from './server-lines.ts';

/** A segment of TCP, without SYN. */
export interface Segment extends Octets {
  readonly acknowledgement: number;
  readonly hasAcknowledgement: boolean;
  readonly isLast: boolean;
}

/** What the client receives in place of a segment of the server. */
export interface Translated {
  readonly position: number;
  /** Undefined: the same bytes. */
  readonly bytes?: Uint8Array;
  /** FIN follows the bytes. */
  readonly isLast: boolean;
}

/** The segment cannot be translated now. */
export const REFUSED = 'refused';

/** Takes a segment of the client, whose bytes stay the same. Returns REFUSED if it must not be forwarded. */
export function fromClient(
  state: ControlState,
  segment: Segment,
  announced: (Announcement | undefined)[],
): typeof REFUSED | undefined {
  const { bytes, from, to, position, isLast } = segment;
  const length = to - from;
  const next = state.clientNext ?? position;
  state.clientNext = next;
  if ((length > 0 || isLast) && isBefore(next, position)) return REFUSED;
  if (segment.hasAcknowledgement) acknowledge(state, segment, position === next);
  // An acknowledgement without data may be ahead of segments that were lost.
  const known = (next - position) | 0;
  if (known >= 0 && length > known) {
    readCommands(state, bytes, from + known, to, announced);
    state.clientNext = (position + length) | 0;
  }
  return undefined;
}

/** Takes a segment of the server. Returns what the client receives in its place, or REFUSED. */
export function fromServer(
  state: ControlState,
  segment: Segment,
  addresses: ReplyAddresses,
  announced: (Announcement | undefined)[],
): Translated | typeof REFUSED {
  const { bytes, from, to, position, isLast } = segment;
  const length = to - from;
  const next = state.serverNext ?? position;
  if (state.serverNext === undefined) {
    state.serverNext = next;
    state.acknowledged = next;
  }
  if ((length > 0 || isLast) && isBefore(next, position)) return REFUSED;
  const commands = state.clientNext;
  if (segment.hasAcknowledgement && position === next && commands !== undefined) {
    const received = segment.acknowledgement;
    if (isBefore(commands, received)) {
      // The server has received what did not pass here.
      state.clientNext = received;
      skipCommand(state);
    }
  }
  const known = (next - position) | 0;
  let end = to;
  if (known >= 0 && length > known) {
    state.forgetBefore(next);
    const news = { bytes, from: from + known, to, position: next };
    end = from + known + readReplies(state, news, addresses, announced);
    state.serverNext = (position + end - from) | 0;
  }
  // What is not forwarded now is sent again, when the client has acknowledged more.
  const hasEnd = isLast && end === to && (known > length || endReplies(state, (position + length) | 0));
  if (length === 0 && !isLast) return { position: toClient(state, position), isLast };
  const changed = translate(state, { ...segment, to: end, isLast: hasEnd }, addresses);
  const isSame = changed.bytes === undefined && end === to && hasEnd === isLast;
  return isSame || changed.bytes !== undefined ? changed : { ...changed, bytes: bytes.slice(from, end) };
}

function acknowledge(state: ControlState, segment: Segment, isNext: boolean): void {
  const { serverNext } = state;
  if (serverNext === undefined) return;
  const own = acknowledgement(state, segment.acknowledgement);
  if (isBefore(serverNext, own)) {
    // FIN takes a position after the last byte. Anything else the client has received did not pass here, if it is no forgery.
    if (!isNext || !state.isProven || own === ((serverNext + 1) | 0)) return;
    state.serverNext = own;
    skipReply(state);
  }
  if (!isBefore(state.acknowledged, segment.acknowledgement)) return;
  state.acknowledged = segment.acknowledgement;
  if (isNext) state.setProven();
}

/** Returns what the client receives in place of bytes that were read. */
function translate(state: ControlState, segment: Segment, { own, virtual }: ReplyAddresses): Translated {
  const { bytes, from, to, position, isLast } = segment;
  const start = toClient(state, position);
  const end = (position + to - from) | 0;
  const again = withheldBefore(state, position);
  const parts = [own.subarray(0, again)];
  let at = position;
  const takeUntil = (until: number): void => {
    if (isBefore(at, until))
      parts.push(bytes.subarray(from + ((at - position) | 0), from + ((until - position) | 0)));
  };
  let isSame = again === 0;
  for (let change = 0; change < state.changes; change++) {
    const first = state.start(change);
    const after = (first + state.length(change)) | 0;
    if (state.isKept(change) || !isBefore(first, end) || !isBefore(at, after)) continue;
    takeUntil(first);
    parts.push(virtual);
    at = isBefore(after, end) ? after : end;
    isSame = false;
  }
  const withheld = ((state.serverNext ?? end) - state.matched) | 0;
  const isWithheld = state.matched > 0 && isBefore(withheld, end);
  takeUntil(isWithheld ? withheld : end);
  if (isSame && !isWithheld && (to > from || isLast)) return { position: start, isLast };
  const changed = Buffer.concat(parts);
  // A segment that begins before what the client expects is acknowledged at once, also without data (RFC 9293 section 3.10.7.4).
  if (changed.length === 0 && !isLast) return { position: (start - 1) | 0, bytes: changed, isLast };
  return { position: (start - again) | 0, bytes: changed, isLast };
}

/**
 * Returns how many bytes the client has to receive before those at `position`: they were withheld, so that the server may not
 * send them again.
 */
function withheldBefore(state: ControlState, position: number): number {
  for (let change = 0; change < state.changes; change++) {
    const before = (position - state.start(change)) | 0;
    if (state.isKept(change) && before > 0 && before <= state.length(change)) return before;
  }
  return 0;
}
