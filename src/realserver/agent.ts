/** The agent: makes a real server of this host, and puts everything back. */
import { type Change, look, type Made, make, undo } from './change.ts';
import type { Machine } from './machine.ts';
import { readState, writeState } from './state.ts';

export interface AgentOptions {
  readonly machine: Machine;
  /** The journal. */
  readonly stateFile: string;
  /** Told each thing done, in words. */
  readonly say: (line: string) => void;
}

const same = (a: Change, b: Change): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * Makes the changes in their order. What an earlier agent left and this plan does not want is put back first; what
 * it left and the plan wants stays, together with what was there before it. When one change fails all are put back.
 */
export async function apply(plan: readonly Change[], options: AgentOptions): Promise<void> {
  const { machine, stateFile, say } = options;
  const wanted = (made: Made) => plan.some((change) => same(change, made.change));
  const place = (made: Made) => plan.findIndex((change) => same(change, made.change));
  const left = readState(stateFile);
  if (left.some((made) => !wanted(made))) say('putting back what an earlier agent left');
  let made = await putBack(left, options, (each) => !wanted(each));
  try {
    for (const change of plan) {
      const before = await look(change, machine);
      if (before === undefined) continue;
      if (!made.some((each) => same(each.change, change))) {
        // Written first: after a kill -9 at any moment the journal knows at least what was done. In the plan's order,
        // whatever was found done already: the VIP must be gone before the host may speak of it again.
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

/** Puts back everything that the journal holds, the last change first. */
export async function restore(options: AgentOptions): Promise<void> {
  await putBack(readState(options.stateFile), options, () => true);
}

/** Undoes those of `made` that `chosen` picks; one that cannot be undone stays in the journal, and the rest goes on. */
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
      say(`put back: ${describe(each.change)}`);
    } catch (error) {
      say(`cannot put back (${describe(each.change)}): ${(error as Error).message}`);
    }
  }
  return left;
}

/** A change in words. */
export function describe(change: Change): string {
  switch (change.kind) {
    case 'sysctl':
      return `${change.path.replaceAll('/', '.')} = ${change.value}`;
    case 'device':
      return `device ${change.name}`;
    case 'vip':
      return `VIP ${change.address} on ${change.label ?? change.device}`;
    case 'mss':
      return `segments of ${change.addresses.join(', ')} fit through the tunnel`;
    case 'route':
      return `default route via ${change.gateway}`;
    default:
      return change satisfies never;
  }
}
