/** Rules that are computed without a change of the running director. */

import { type Rule, rulesRunning } from '../../config/reload/applied-state.ts';
import { ruleChanges } from '../../config/reload/rule-changes.ts';
import { stepsWithRulesOver } from '../../config/reload/rules-over.ts';
import { Director } from '../../director/director.ts';
import type { Command } from '../../model/command.ts';
import type { Timeouts } from '../../model/settings.ts';
import { Slice } from '../../model/slice.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { type Packed, Packing, unpacked } from '../configuration/packed.ts';
import { localApi } from '../local-director.ts';

/** Rows of the table of a director that only has rules. */
const ROWS = 1024;

/** The rules and timeouts that commands result in. */
export interface Rules {
  readonly rules: readonly Rule[];
  readonly timeouts: Timeouts;
}

/** Returns a director that has rules and forwards nothing. */
export const rulesDirector = (): Director =>
  new Director({
    host: {
      transmit: () => false,
      route: () => undefined,
      isLocal: () => false,
      timeOfDay: () => 0,
      isValidSource: () => true,
    },
    maxConnections: ROWS,
  });

/** Resolves with the rules of a director. */
export async function rulesOf(director: Director): Promise<Rules> {
  return rulesIn(await localApi(director, { now: () => 0 }).snapshot({ services: true }));
}

/** Returns the rules in a snapshot, and nothing else of it. */
export const rulesIn = (snapshot: Snapshot): Rules => ({
  rules: rulesRunning(snapshot),
  timeouts: snapshot.timeouts,
});

/** Resolves with the commands that turn rules into others. */
export async function changes(from: Rules, to: Rules): Promise<Command[]> {
  const commands = await ruleChanges(from.rules, to.rules);
  if (JSON.stringify(from.timeouts) !== JSON.stringify(to.timeouts))
    commands.push({ op: 'set-timeouts', timeouts: to.timeouts });
  return commands;
}

/** Resolves with the steps of a reload, joined with changes of the rules over the configuration. Works in slices. */
export async function stepsOver(
  planned: Packed<Command>,
  over: readonly Command[],
): Promise<Packed<Command>> {
  const packing = new Packing<Command>();
  const slice = new Slice();
  for (const step of stepsWithRulesOver(unpacked(planned), over)) {
    packing.add(step);
    if (slice.spent) await slice.next();
  }
  return packing.packed;
}
