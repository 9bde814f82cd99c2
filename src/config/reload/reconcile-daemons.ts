/** Reconciles sync daemons: returns the minimal commands that change a running director to a document. */
import type { Command, SyncDaemon } from '../../model/command.ts';
import { SYNC_DEFAULTS } from '../../model/sync-defaults.ts';

export interface DaemonSteps {
  /** Commands to execute before all others of the reload. */
  readonly stops: readonly Command[];
  /** Commands to execute after all others: settings and services are those of the new file then. */
  readonly starts: readonly Command[];
  /** Daemons that were started or stopped with ipvsadm, as text. */
  readonly manualChanges: readonly string[];
}

type Daemons = readonly SyncDaemon[];

/**
 * `previous`: the daemons of the previous document. A difference from it is a manual change. It is reported, and kept
 * unless `replace` is set or the document changed the daemon.
 */
export function reconcileDaemons(
  running: Daemons,
  wanted: Daemons,
  previous: Daemons,
  replace: boolean,
): DaemonSteps {
  const stops: Command[] = [];
  const starts: Command[] = [];
  const manualChanges: string[] = [];
  for (const role of ['master', 'backup'] as const) {
    const ofRole = (daemons: Daemons) => daemons.find((each) => each.role === role);
    const [now, then, before] = [ofRole(running), ofRole(wanted), ofRole(previous)];
    const isUnchanged = sameConfigured(before, then);
    if (runs(now, then) && (isUnchanged || before === undefined)) continue;
    if (!runs(now, before)) {
      manualChanges.push(
        `the ${role} sync daemon ${now === undefined ? 'does not run' : 'is not that of the file'}`,
      );
      if (isUnchanged && !replace) continue;
    }
    if (now !== undefined) stops.push({ op: 'stop-daemon', role });
    if (then !== undefined) starts.push({ op: 'start-daemon', daemon: then });
  }
  return { stops, starts, manualChanges };
}

/** Reports whether `now` is what a director runs after the start of `daemon`. */
const runs = (now: SyncDaemon | undefined, daemon: SyncDaemon | undefined): boolean =>
  sameConfigured(now, daemon && now ? { maxLength: now.maxLength!, ...daemon } : daemon);

function sameConfigured(one: SyncDaemon | undefined, other: SyncDaemon | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  const [a, b]: SyncDaemon[] = [
    { ...SYNC_DEFAULTS, ...one },
    { ...SYNC_DEFAULTS, ...other },
  ];
  return (['interface', 'syncId', 'group', 'port', 'ttl', 'maxLength'] as const).every(
    (key) => a![key] === b![key],
  );
}
