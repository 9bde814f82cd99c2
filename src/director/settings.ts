/** Settings and timeouts of a running director, with their validation. */
import { LvsError } from '../model/errors.ts';
import {
  DEFAULT_SETTINGS,
  FOUR_VALUED,
  type SettingName,
  type Settings,
  SYNC_PORTS,
  type Timeouts,
} from '../model/settings.ts';
import { SCTP_TIMEOUTS } from './path/sctp-state.ts';
import { TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_TIMEOUTS } from './path/tcp-state.ts';
import { UDP_TIMEOUT_S } from './path/udp-state.ts';

/** Returns all settings with their defaults, except those given. */
export function newSettings(given: Partial<Settings> = {}): Settings {
  const settings: Settings = { ...DEFAULT_SETTINGS };
  for (const [name, value] of Object.entries(given)) changeSetting(settings, name as SettingName, value);
  return settings;
}

export function changeSetting(settings: Settings, name: SettingName, value: number): void {
  if (!Object.hasOwn(settings, name)) throw new LvsError('INVALID', `setting ${name} not found`);
  const most = FOUR_VALUED.includes(name) ? 3 : 0x7fffffff;
  if (!(Number.isInteger(value) && value >= 0 && value <= most))
    throw new LvsError('INVALID', `invalid ${name} ${value}: expected 0 to ${most}`);
  if (name === 'sync_ports' && !SYNC_PORTS.includes(value))
    throw new LvsError('INVALID', `invalid sync_ports ${value}: expected one of ${SYNC_PORTS.join(', ')}`);
  if (name === 'sync_version' && value > 1)
    throw new LvsError('INVALID', `invalid sync_version ${value}: expected 0 or 1`);
  settings[name] = value;
}

/** Seconds; as ms it fits the table's 32-bit column. */
export const MAX_TIMEOUT_S = 4_294_967;

export class StateTimeouts {
  /** ms by state. */
  readonly tcp = Uint32Array.from(TCP_TIMEOUTS, toMs);
  readonly sctp = Uint32Array.from(SCTP_TIMEOUTS, toMs);
  readonly udp = Uint32Array.of(toMs(UDP_TIMEOUT_S));

  /** Sets timeouts that are not 0. Connections use them from their next packet on. */
  set({ tcp, tcpFin, udp }: Timeouts): void {
    for (const seconds of [tcp, tcpFin, udp])
      if (!(Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_TIMEOUT_S))
        throw new LvsError(
          'INVALID',
          `invalid timeout ${seconds} s: expected 1 to ${MAX_TIMEOUT_S}, or 0 to keep the current one`,
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
