/** Computes the commands that change a running director to its configuration file. */

import { compile } from '../../config/compile.ts';
import type { Document } from '../../config/document.ts';
import { appliedOf, type Rule, rulesRunning } from '../../config/reload/applied-state.ts';
import { type Drain, type Reconciliation, reconcile } from '../../config/reload/reconcile.ts';
import { reconcileDaemons } from '../../config/reload/reconcile-daemons.ts';
import { reconcileSettings } from '../../config/reload/reconcile-settings.ts';
import type { Command } from '../../model/command.ts';
import { formatRule, formatService } from '../../model/naming.ts';
import type { Snapshot } from '../../model/snapshot.ts';

/** The state that earlier files led to. */
export interface Previous {
  /** Commands of the file that was applied last. */
  readonly commands: readonly Command[];
  /** Services and destinations that an earlier reload removed and that connections still use. */
  readonly draining: readonly Drain[];
}

/** The configuration that a director runs. */
export interface Running extends Pick<Snapshot, 'settings' | 'timeouts' | 'daemons'> {
  readonly rules: readonly Rule[];
}

/** Returns the part of a snapshot that a reload compares. */
export const runningOf = (snapshot: Snapshot): Running => ({ ...snapshot, rules: rulesRunning(snapshot) });

/** Returns the commands: settings, timeouts and marks first, then the rules. Sync daemons stop before and start after these. */
export function reloadCommands(running: Running, wanted: Document, before: Previous): Reconciliation {
  const previous = appliedOf(before.commands);
  const next = appliedOf(compile(wanted));
  const replaces = wanted.adopt === 'replace';
  const general = reconcileSettings(running, next, previous, replaces);
  const daemons = reconcileDaemons(running.daemons, next.daemons, previous.daemons, replaces);
  const rules = reconcile(
    running.rules,
    wanted,
    withDraining(previous.rules, running.rules, before.draining),
  );
  return {
    commands: [...daemons.stops, ...general.commands, ...rules.commands, ...daemons.starts],
    drains: rules.drains,
    manualChanges: [...general.manualChanges, ...daemons.manualChanges, ...rules.manualChanges],
  };
}

/** Adds draining entries to the previous rules, as they run: they are not manual changes. */
function withDraining(
  previous: readonly Rule[],
  running: readonly Rule[],
  draining: readonly Drain[],
): readonly Rule[] {
  const drained = new Set(draining.map(({ service, destination }) => formatRule(service, destination)));
  const rules = new Map(previous.map((rule) => [formatService(rule.service), rule]));
  for (const rule of running) {
    const key = formatService(rule.service);
    const gone = rule.destinations.filter((each) => drained.has(formatRule(rule.service, each)));
    const known = rules.get(key);
    if (known) rules.set(key, { ...known, destinations: [...known.destinations, ...gone] });
    else if (drained.has(key)) rules.set(key, { ...rule, destinations: gone });
  }
  return [...rules.values()];
}
