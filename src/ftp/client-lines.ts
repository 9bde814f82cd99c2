/** Reads the commands of a client (RFC 959 section 5.3). */
import { type Announcement, asksForPort, ofCommand } from './announcements.ts';
import { type ControlState, TOO_LONG } from './control-state.ts';

const LINE_FEED = 0x0a;
/** Replies that may be awaited at the same time. */
const MAX_AWAITED = 0xff;

/**
 * Reads bytes[from, to), which the client sends next. Adds data connections to `announced`: undefined for one that cannot be
 * read.
 */
export function readCommands(
  state: ControlState,
  bytes: Uint8Array,
  from: number,
  to: number,
  announced: (Announcement | undefined)[],
): void {
  if (state.isOpaque) return;
  let at = from;
  while (at < to) {
    const found = bytes.indexOf(LINE_FEED, at);
    const end = found < 0 || found >= to ? to : found;
    append(state, bytes.subarray(at, end));
    at = end + 1;
    if (end === to) return;
    endCommand(state, announced);
  }
}

/** What follows is not the beginning of a line. */
export function skipCommand(state: ControlState): void {
  state.commandLength = TOO_LONG;
}

function append(state: ControlState, part: Uint8Array): void {
  const { command, commandLength } = state;
  if (commandLength + part.length > command.length) {
    state.commandLength = TOO_LONG;
    return;
  }
  command.set(part, commandLength);
  state.commandLength = commandLength + part.length;
}

function endCommand(state: ControlState, announced: (Announcement | undefined)[]): void {
  const { command, commandLength } = state;
  state.commandLength = 0;
  if (commandLength === TOO_LONG) return;
  const line = String.fromCharCode(...command.subarray(0, commandLength)).replace(/\r$/, '');
  if (asksForPort(line)) state.awaited = Math.min(state.awaited + 1, MAX_AWAITED);
  else if (/^(?:PORT|EPRT)\b/i.test(line)) announced.push(ofCommand(line));
}
