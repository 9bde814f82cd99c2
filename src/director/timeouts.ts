/** How long connections last in each state, and what `ipvsadm --set` changes of it. */
import { LvsError } from '../model/errors.ts';
import type { Timeouts } from '../model/settings.ts';
import { SCTP_TIMEOUTS } from './path/sctp-state.ts';
import { TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_TIMEOUTS } from './path/tcp-state.ts';
import { UDP_TIMEOUT } from './path/udp-state.ts';

/** Seconds; as ms it still fits the table's 32-bit column. */
export const LONGEST_TIMEOUT = 4_294_967;

export class StateTimeouts {
  /** ms by state. */
  readonly tcp = Uint32Array.from(TCP_TIMEOUTS, toMs);
  readonly sctp = Uint32Array.from(SCTP_TIMEOUTS, toMs);
  readonly udp = Uint32Array.of(toMs(UDP_TIMEOUT));

  /** Sets those that are not 0. Connections have them from their next packet on. */
  set({ tcp, tcpFin, udp }: Timeouts): void {
    for (const seconds of [tcp, tcpFin, udp])
      if (!(Number.isInteger(seconds) && seconds >= 0 && seconds <= LONGEST_TIMEOUT))
        throw new LvsError(
          'INVALID',
          `a time-out of ${seconds} s: 1 to ${LONGEST_TIMEOUT}, or 0 to leave it`,
        );
    if (tcp > 0) this.tcp[TCP_ESTABLISHED] = toMs(tcp);
    if (tcpFin > 0) this.tcp[TCP_FIN_WAIT] = toMs(tcpFin);
    if (udp > 0) this.udp[0] = toMs(udp);
  }

  /** In seconds. */
  get(): Timeouts {
    return {
      tcp: this.tcp[TCP_ESTABLISHED]! / 1000,
      tcpFin: this.tcp[TCP_FIN_WAIT]! / 1000,
      udp: this.udp[0]! / 1000,
    };
  }
}

function toMs(seconds: number): number {
  return seconds * 1000;
}
