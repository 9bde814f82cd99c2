/** What programs of the kernel read of a director's settings, timeouts and tables of states. */
import type { TableMemory } from '../table/memory.ts';
import { DEFERRED, SETTINGS } from '../table/record-layout.ts';
import { SettingsRecord } from '../table/settings-record.ts';
import { MIN_TICK_MS, Ticks } from '../table/ticks.ts';
import { ACK, FIN, RST, SYN } from '../wire/tcp.ts';
import { type ConnectionTable, NEARLY_FULL_SHARE } from './connections.ts';
import type { DirectorCore } from './core.ts';
import { nextTcpState, TCP_STATES } from './path/tcp-state.ts';

/** Flags of a segment by the events of the tables of states: RST, SYN, FIN, ACK. */
const EVENTS = [RST, SYN, FIN, ACK];
/** New connections in 64 ms that a processor makes at most in a table that is nearly full: 500,000 a second. */
const VALVE = 32_000;

/** Writes the settings' record of a director. */
export class PublishedSettings {
  readonly #record: SettingsRecord;
  readonly #ticks: Ticks;

  /** `memory`: of the record. `ticks`: default: those of a table that no program works on. */
  constructor(
    memory: TableMemory,
    { capacity, homes, secrets }: ConnectionTable,
    ticks = new Ticks(MIN_TICK_MS),
  ) {
    const record = new SettingsRecord(memory);
    this.#record = record;
    this.#ticks = ticks;
    record.set(SETTINGS.ticksPerSecond, Math.round(1000 / ticks.length));
    record.set(SETTINGS.limit, capacity);
    record.set(SETTINGS.homes, homes);
    record.setSecrets(secrets);
    record.set(SETTINGS.valve, VALVE);
    record.set(SETTINGS.valveFrom, Math.floor(capacity * NEARLY_FULL_SHARE));
    record.set(SETTINGS.embryonicFrom, Math.floor(capacity * NEARLY_FULL_SHARE));
    for (const secure of [false, true])
      record.setTransitions(
        secure ? SETTINGS.secureTransitions : SETTINGS.transitions,
        TCP_STATES.length,
        (state, sender, event) => nextTcpState(state, event < 0 ? 0 : EVENTS[event]!, sender, secure),
      );
  }

  /** Writes everything that commands and defenses change. */
  update(core: DirectorCore): void {
    const { settings, timeouts, secureTcp, dropRate, isBackup, kernelPath, access } = core;
    const record = this.#record;
    record.setSysctls(settings);
    record.setTimeouts(timeouts, this.#ticks);
    record.set(SETTINGS.dropRate, dropRate);
    record.set(SETTINGS.transitionsInUse, secureTcp ? SETTINGS.secureTransitions : SETTINGS.transitions);
    const mayNotForward = isBackup && settings.backup_only !== 0;
    record.set(SETTINGS.backup, mayNotForward ? 1 : 0);
    record.set(
      SETTINGS.deferred,
      (dropRate === 0 ? 0 : DEFERRED.DROP_RATE) |
        (mayNotForward ? DEFERRED.BACKUP : 0) |
        (kernelPath.isExcluding ? DEFERRED.CAPTURE : 0) |
        (access.isIncomplete ? DEFERRED.LISTS : 0),
    );
    record.set(SETTINGS.generation, record.get(SETTINGS.generation) + 1);
  }
}
