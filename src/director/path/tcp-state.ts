/** TCP as observed by a director: states, transitions and timeouts. */
import { ACK, FIN, RST, SYN } from '../../wire/tcp.ts';

/**
 * In the order of their numbers in sync messages (include/net/ip_vs.h, Linux 6.1); names as in ipvsadm -Lc.
 */
export const TCP_STATES = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
] as const;

export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT = 4;
export const TCP_TIME_WAIT = 5;
export const TCP_CLOSE = 6;
export const TCP_LISTEN = 9;
export const TCP_SYNACK = 10;

/**
 * Sender of a packet. CLIENT_ONLY: the client, of a connection without packets from the server (always with
 * dr and tunnel).
 */
export const FROM_CLIENT = 0;
export const FROM_SERVER = 1;
export const CLIENT_ONLY = 2;

/** Seconds, by state. */
// biome-ignore format: a table
export const TCP_TIMEOUTS: readonly number[] = [
  // NONE ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN SYNACK
  2,      900,        120,     60,      120,     120,      10,   60,        30,      120,   120,
];

/** Bit n: state n counts as active. */
export const TCP_ACTIVE = bits(TCP_ESTABLISHED, TCP_SYN_SENT, TCP_SYN_RECV, TCP_SYNACK);

const CODES = ['NO', 'ES', 'SS', 'SR', 'FW', 'TW', 'CL', 'CW', 'LA', 'LI', 'SA'];
const STATES = CODES.length;
/**
 * Rows of a direction, in this order; of several flags the first one counts, except that RST takes
 * precedence.
 */
const EVENTS = 4;
const EVENT_SYN = 0;
const EVENT_FIN = 1;
const EVENT_ACK = 2;
const EVENT_RST = 3;

/** Next state, by the sender, the flags and the current state. As observed in Linux 6.1. */
// biome-ignore format: a table
const NORMAL = table([
  //          NO ES SS SR FW TW CL CW LA LI SA   from the client
  /* syn */ 'SR ES ES SR SR SR SR SR SR SR SR',
  /* fin */ 'CL CW SS TW TW TW CL CW LA LI TW',
  /* ack */ 'ES ES SS ES FW TW CL CW CL LI ES',
  /* rst */ 'CL CL CL SR CL CL CL CL LA LI SR',
  //          NO ES SS SR FW TW CL CW LA LI SA   from the server
  /* syn */ 'SS ES SS SR SS SS SS SS SS LI SR',
  /* fin */ 'TW FW SS TW FW TW CL TW LA LI TW',
  /* ack */ 'ES ES SS ES FW TW CL CW LA ES ES',
  /* rst */ 'CL CL SS CL CL TW CL CL CL CL CL',
  //          NO ES SS SR FW TW CL CW LA LI SA   from the client, the server unseen
  /* syn */ 'SR ES ES SR SR SR SR SR SR SR SR',
  /* fin */ 'CL FW SS TW FW TW CL CW LA LI TW',
  /* ack */ 'ES ES SS ES FW TW CL CW CL LI ES',
  /* rst */ 'CL CL CL SR CL CL CL CL LA LI CL',
]);

/** With secure_tcp: a handshake is not trusted before the server has answered. */
// biome-ignore format: a table
const SECURE = table([
  //          NO ES SS SR FW TW CL CW LA LI SA   from the client
  /* syn */ 'SR ES ES SR SR SR SR SR SR SR SA',
  /* fin */ 'CL CW SS TW TW TW CL CW LA LI SA',
  /* ack */ 'ES ES SS SR FW TW CL CW CL LI SA',
  /* rst */ 'CL CL CL SR CL CL CL CL LA LI CL',
  //          NO ES SS SR FW TW CL CW LA LI SA   from the server
  /* syn */ 'SS ES SS SA SS SS SS SS SS LI SA',
  /* fin */ 'TW FW SS TW FW TW CL TW LA LI TW',
  /* ack */ 'ES ES SS ES FW TW CL CW LA ES ES',
  /* rst */ 'CL CL SS CL CL TW CL CL CL CL CL',
  //          NO ES SS SR FW TW CL CW LA LI SA   from the client, the server unseen
  /* syn */ 'SA ES ES SR SA SA SA SA SA SA SA',
  /* fin */ 'CL FW SS TW FW TW CL CW LA LI TW',
  /* ack */ 'ES ES SS ES FW TW CL CW CL LI ES',
  /* rst */ 'CL CL CL SR CL CL CL CL LA LI CL',
]);

/** Returns the state after a segment with these flags. `sender`: FROM_CLIENT, FROM_SERVER or CLIENT_ONLY. */
export function nextTcpState(state: number, flags: number, sender: number, secure: boolean): number {
  const event = eventOf(flags);
  if (event < 0) return TCP_CLOSE;
  return (secure ? SECURE : NORMAL)[(sender * EVENTS + event) * STATES + state]!;
}

/** Returns the row of the flags; -1 for a segment without any of the four flags. */
function eventOf(flags: number): number {
  if ((flags & RST) !== 0) return EVENT_RST;
  if ((flags & SYN) !== 0) return EVENT_SYN;
  if ((flags & FIN) !== 0) return EVENT_FIN;
  return (flags & ACK) !== 0 ? EVENT_ACK : -1;
}

function table(rows: readonly string[]): Uint8Array {
  return Uint8Array.from(rows.flatMap((row) => row.split(' ').map((code) => CODES.indexOf(code))));
}

function bits(...states: number[]): number {
  return states.reduce((mask, state) => mask | (1 << state), 0);
}
