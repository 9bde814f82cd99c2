/** Reports the agent's changes of this host, for `lvs-realserver status`. */

import { describe } from './agent.ts';
import { type Change, look, type Made } from './change.ts';
import { lockHolder } from './lock.ts';
import type { Machine } from './machine.ts';
import { readState } from './state.ts';

export interface ChangeStatus {
  readonly change: Change;
  /** Description of the change. */
  readonly what: string;
  readonly before: Made['before'];
  /** False if another program has undone the change. */
  readonly inPlace: boolean;
}

export interface Status {
  /** Process id of the agent; undefined if none runs. */
  readonly pid?: number;
  readonly changes: readonly ChangeStatus[];
}

export async function status(stateFile: string, machine: Machine): Promise<Status> {
  const pid = await lockHolder();
  const changes: ChangeStatus[] = [];
  for (const { change, before } of readState(stateFile)) {
    const inPlace =
      change.kind === 'mss' || (await look(change, machine).catch(() => 'absent')) === undefined;
    changes.push({ change, what: describe(change), before, inPlace });
  }
  return { ...(pid === undefined ? {} : { pid }), changes };
}

/** Returns the status as text. */
export function formatStatus({ pid, changes }: Status): string {
  const first =
    pid !== undefined
      ? `the agent runs as process ${pid}`
      : changes.length > 0
        ? 'no agent runs; lvs-realserver restore undoes the changes of an earlier one'
        : 'no agent runs, and there are no changes';
  const lines = changes.map(
    ({ what, before, inPlace }) =>
      `  ${what} (before: ${typeof before === 'string' ? before : before.join(' | ') || 'none'})${inPlace ? '' : ', CHANGED SINCE'}`,
  );
  return [first, ...lines].join('\n');
}
