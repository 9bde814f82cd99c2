/** The commands that bring a running director to what a configuration file says now. */
import { compile } from '../config/compile.ts';
import type { Document } from '../config/document.ts';
import { type Reconciliation, reconcile, rulesRunning } from '../config/reconcile.ts';
import type { Command } from '../model/command.ts';
import type { Snapshot } from '../model/snapshot.ts';

/** Settings, time-outs and marks as the file has them, then the fewest changes to the rules. */
export function reloadCommands(snapshot: Snapshot, wanted: Document, previous: Document): Reconciliation {
  const steps = reconcile(rulesRunning(snapshot), wanted, previous);
  const general = compile(wanted).filter(
    ({ op }) => op === 'set' || op === 'set-timeouts' || op === 'set-marks',
  );
  const noMarks: Command[] =
    previous.marks.length > 0 && wanted.marks.length === 0 ? [{ op: 'set-marks', rules: [] }] : [];
  return {
    ...steps,
    commands: [...noMarks, ...general, ...steps.commands],
    drains: steps.drains,
    byHand: steps.byHand,
  };
}
