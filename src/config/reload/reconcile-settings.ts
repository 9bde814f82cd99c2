/**
 * Reconciles settings, timeouts and marks: returns the minimal commands that change a running director to a
 * document.
 */
import type { Command } from '../../model/command.ts';
import { DEFAULT_SETTINGS, type SettingName, type Timeouts } from '../../model/settings.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Applied } from './applied-state.ts';

export interface General {
  readonly commands: readonly Command[];
  /** Values that were changed manually, as text. */
  readonly manualChanges: readonly string[];
}

/** Strategies that the kernel switches between 1 and 2 when memory is short (ipvs-sysctl.rst). */
const SELF_CHANGING: ReadonlySet<string> = new Set(['drop_entry', 'drop_packet', 'secure_tcp']);

/** Seconds, of a director without configuration (Linux 6.1: 15 min, 2 min, 5 min). */
const DEFAULT_TIMEOUTS: Timeouts = { tcp: 900, tcpFin: 120, udp: 300 };

/**
 * `previous`: the values of the previous document. A value that differs from it was changed manually. It is
 * reported, and kept unless `replace` is set or the document changed the value.
 */
export function reconcileSettings(
  running: Pick<Snapshot, 'settings' | 'timeouts'>,
  wanted: Applied,
  previous: Applied | undefined,
  replace: boolean,
): General {
  const manualChanges: string[] = [];
  /** Returns the new value; undefined: the running value is kept. */
  const next = (what: string, now: number, before: number, then: number): number | undefined => {
    if (now === then) return undefined;
    if (now === before) return then;
    manualChanges.push(`${what} is ${now}, not ${then} as in the file`);
    return replace || before !== then ? then : undefined;
  };

  const commands: Command[] = [];
  for (const name of Object.keys(DEFAULT_SETTINGS) as SettingName[]) {
    const initial = DEFAULT_SETTINGS[name];
    const alike = (value: number) => (SELF_CHANGING.has(name) && value === 2 ? 1 : value);
    const before = alike(previous?.settings[name] ?? initial);
    const then = alike(wanted.settings[name] ?? initial);
    const value = next(`setting ${name}`, alike(running.settings[name]), before, then);
    if (value !== undefined) commands.push({ op: 'set', name, value });
  }
  const timeouts = { tcp: 0, tcpFin: 0, udp: 0 };
  for (const name of ['tcp', 'tcpFin', 'udp'] as const) {
    const initial = DEFAULT_TIMEOUTS[name];
    const before = previous?.timeouts[name] ?? initial;
    timeouts[name] =
      next(`timeout ${name}`, running.timeouts[name], before, wanted.timeouts[name] ?? initial) ?? 0;
  }
  if (Object.values(timeouts).some((seconds) => seconds > 0)) commands.push({ op: 'set-timeouts', timeouts });
  if (JSON.stringify(wanted.marks) !== JSON.stringify(previous?.marks ?? []))
    commands.push({ op: 'set-marks', rules: wanted.marks });
  return { commands, manualChanges };
}
