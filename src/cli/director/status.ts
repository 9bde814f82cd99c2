/** `lvs-director status`: reports whether a director runs, and what one has left that was killed. */
import { directorStatus, hasLeft, statusLines } from '../../runtime/director-status.ts';

/** Exit statuses: a director runs, none runs but one has left something, none runs. */
const RUNS = 0;
const LEFT = 1;
const NONE = 3;

/** Resolves with the exit status. `roots`: folders of pins. */
export async function printStatus(
  roots: readonly string[],
  json: boolean,
  print: (text: string) => void,
): Promise<number> {
  const status = await directorStatus(roots);
  print(json ? `${JSON.stringify(status, null, 2)}\n` : `${statusLines(status, Date.now()).join('\n')}\n`);
  if (status.running.length > 0) return RUNS;
  return hasLeft(status) ? LEFT : NONE;
}
