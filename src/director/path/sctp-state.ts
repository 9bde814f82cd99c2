/** SCTP as observed by a director: states, transitions and timeouts. */
import {
  SCTP_ABORT,
  SCTP_COOKIE_ACK,
  SCTP_COOKIE_ECHO,
  SCTP_ERROR,
  SCTP_INIT,
  SCTP_INIT_ACK,
  SCTP_SHUTDOWN,
  SCTP_SHUTDOWN_ACK,
  SCTP_SHUTDOWN_COMPLETE,
} from '../../wire/sctp.ts';

/**
 * In the order of their numbers in sync messages (include/net/ip_vs.h, Linux 6.1); names as in ipvsadm -Lc.
 */
export const SCTP_STATES = [
  'NONE',
  'INIT1',
  'INIT',
  'C-SENT',
  'C-REPLIED',
  'C-WAIT',
  'COOKIE',
  'C-ECHOED',
  'ESTABLISHED',
  'S-SENT',
  'S-RECEIVED',
  'S-ACK-SENT',
  'REJECTED',
  'CLOSED',
] as const;

export const SCTP_INIT1_STATE = 1;
export const SCTP_INIT_STATE = 2;
export const SCTP_ESTABLISHED = 8;
export const SCTP_CLOSED = 13;

/** Seconds, by state. */
// biome-ignore format: a table
export const SCTP_TIMEOUTS: readonly number[] = [
  // NONE INIT1 INIT C-SENT C-REPLIED C-WAIT COOKIE C-ECHOED ESTABLISHED S-SENT S-RECEIVED S-ACK-SENT REJECTED CLOSED
  2,      4,    61,  61,    61,       61,    61,    61,      900,        61,    61,        61,        4,       61,
];

/** Bit n: state n counts as active. */
export const SCTP_ACTIVE = 1 << SCTP_ESTABLISHED;

const CODES = ['NO', 'I1', 'IN', 'CS', 'CR', 'CW', 'CO', 'CE', 'ES', 'SS', 'SR', 'SA', 'RJ', 'CL'];
const STATES = CODES.length;
/** Chunks that change states, in the order of a direction's rows; all others count as the first row's. */
const CHUNKS = [
  -1,
  SCTP_INIT,
  SCTP_INIT_ACK,
  SCTP_COOKIE_ECHO,
  SCTP_COOKIE_ACK,
  SCTP_SHUTDOWN,
  SCTP_SHUTDOWN_ACK,
  SCTP_SHUTDOWN_COMPLETE,
  SCTP_ERROR,
  SCTP_ABORT,
];

/**
 * Next state, by the sender, the chunk and the current state. As observed in Linux 6.1, wherever the current
 * state can occur.
 */
// biome-ignore format: a table
const TABLE = table([
  //                 NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL   from the client
  /* data, others */ 'ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  /* init         */ 'I1 IN IN CS CR CW CO CE ES SS SR SA IN IN',
  /* init ack     */ 'CW CW CW CS CR CO CO CE ES SS SR SA RJ CL',
  /* cookie echo  */ 'CR IN IN CR CR CW CO CE ES SS SR SA RJ CL',
  /* cookie ack   */ 'ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL',
  /* shutdown     */ 'SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL',
  /* shutdown ack */ 'CL IN IN CS CR CW CO CE ES CL SR CL RJ CL',
  /* complete     */ 'CL CL CL CS CR CW CO CE ES SS SR CL RJ CL',
  /* error        */ 'CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL',
  /* abort        */ 'CL CL CL CL CL RJ CL CL CL CL CL CL CL CL',
  //                 NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL   from the server
  /* data, others */ 'ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  /* init         */ 'CW CW CW CW CW CW CW CW ES CW CW CW CW CW',
  /* init ack     */ 'CS CS CS CS CR CW CO CE ES SS SR SA RJ CL',
  /* cookie echo  */ 'CE CE CE CE CE CE CE CE ES SS SR SA RJ CL',
  /* cookie ack   */ 'ES ES ES ES ES ES ES ES ES SS SR SA RJ CL',
  /* shutdown     */ 'SS SS SS SS SS SS SS SS SS SS SR SA RJ CL',
  /* shutdown ack */ 'SA SA SA SA SA CW CO CE ES SA SA SA RJ CL',
  /* complete     */ 'CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  /* error        */ 'ES CL CL CL CL CW CO CE ES SS SR SA RJ CL',
  /* abort        */ 'CL RJ CL CL CL CL CL CL CL CL CL CL CL CL',
  //                 NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL   from the client, the server unseen
  /* data, others */ 'ES I1 IN CS ES CW CO CE ES SS SR SA RJ CL',
  /* init         */ 'I1 IN IN IN ES IN CO CE ES SS SR SA IN IN',
  /* init ack     */ 'CE CE CE CE ES CE CE CE ES SS SR SA RJ CL',
  /* cookie echo  */ 'ES ES ES CR ES CR CR CE ES SS SR SA RJ CL',
  /* cookie ack   */ 'ES I1 IN CS ES CW CO ES ES SS SR SA RJ CL',
  /* shutdown     */ 'SR I1 IN CS SR CW CO CE SR SS SR SA RJ CL',
  /* shutdown ack */ 'CL IN IN CS CL CW CO CE CL CL SR CL RJ CL',
  /* complete     */ 'CL CL CL CS ES CW CO CE ES SS CL CL RJ CL',
  /* error        */ 'CL I1 IN CS ES CW CO CE ES SS SR SA RJ CL',
  /* abort        */ 'CL CL CL CL CL CL CL CL CL CL CL CL CL CL',
]);

/** The state after a packet whose first chunk has that type. `sender` as in tcp-state.ts. */
export function nextSctpState(state: number, chunk: number, sender: number): number {
  const event = Math.max(0, CHUNKS.indexOf(chunk, 1));
  return TABLE[(sender * CHUNKS.length + event) * STATES + state]!;
}

function table(rows: readonly string[]): Uint8Array {
  return Uint8Array.from(rows.flatMap((row) => row.split(' ').map((code) => CODES.indexOf(code))));
}
