/** The agent: configures this host as a real server, and restores it. */

import type { Say } from '../model/level.ts';
import { type Change, look, type Made, make, undo } from './change.ts';
import type { Machine } from './machine.ts';
import { readState, writeState } from './state.ts';

export interface AgentOptions {
  readonly machine: Machine;
  /** The journal. */
  readonly stateFile: string;
  /** Receives a line about each change. */
  readonly say: Say;
}

const same = (a: Change, b: Change): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Makes the changes in their order. Changes that an earlier agent left are undone first, unless the plan contains them:
 * those stay, with their recorded previous state. If a change fails, all are undone.
 */
export async function apply(plan: readonly Change[], options: AgentOptions): Promise<void> {
  const { machine, stateFile, say } = options;
  const wanted = (made: Made) => plan.some((change) => same(change, made.change));
  const place = (made: Made) => plan.findIndex((change) => same(change, made.change));
  const left = readState(stateFile);
  if (left.some((made) => !wanted(made))) say('undoing changes that an earlier agent left', 'warning');
  let made = await putBack(left, options, (each) => !wanted(each));
  try {
    for (const change of plan) {
      const before = await look(change, machine);
      if (before === undefined) continue;
      if (!made.some((each) => same(each.change, change))) {
        // Written first, so that after a kill -9 the journal contains at least every change that was made. In the plan's
        // order, also for changes of an earlier agent: the VIP must be removed before the host may announce it again.
        made = [...made, { change, before }].sort((a, b) => place(a) - place(b));
        writeState(stateFile, made);
      }
      await make(change, machine);
      say(describe(change));
    }
  } catch (error) {
    await restore(options);
    throw error;
  }
}

/** Undoes all changes of the journal, the last one first. */
export async function restore(options: AgentOptions): Promise<void> {
  await putBack(readState(options.stateFile), options, () => true);
}

/** Undoes those of `made` for which `chosen` is true. A change that cannot be undone stays in the journal. */
async function putBack(
  made: readonly Made[],
  { machine, stateFile, say }: AgentOptions,
  chosen: (made: Made) => boolean,
): Promise<readonly Made[]> {
  let left = made;
  for (const each of made.toReversed()) {
    if (!chosen(each)) continue;
    try {
      await undo(each, machine);
      left = left.filter((other) => other !== each);
      writeState(stateFile, left);
      say(`undone: ${describe(each.change)}`);
    } catch (error) {
      say(`cannot undo ${describe(each.change)}: ${(error as Error).message}`, 'error');
    }
  }
  return left;
}

/** Returns a description of a change. */
export function describe(change: Change): string {
  switch (change.kind) {
    case 'sysctl':
      return `${change.path.replaceAll('/', '.')} = ${change.value}`;
    case 'device':
      return `device ${change.name}`;
    case 'vip':
      return `VIP ${change.address} on ${change.label ?? change.device}`;
    case 'mss':
      return `maximum segment size of ${change.addresses.join(', ')} reduced for the tunnel`;
    case 'route':
      return `default route via ${change.gateway}`;
    default:
      return change satisfies never;
  }
}
