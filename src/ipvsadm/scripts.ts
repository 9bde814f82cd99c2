/**
 * Runs ipvsadm-save and ipvsadm-restore without their processes: `ipvsadm -S`, and `ipvsadm -C; ipvsadm -R`.
 */
import { runIpvsadm, type Surroundings } from './run.ts';

/** Output of `ipvsadm-save -h`. */
export const SAVE_HELP = `ipvsadm-save: writes the rules of the director to the standard output.
   -n   numbers instead of names
`;

/** Prints the rules; with `-n` numerically. */
export async function runSave(argv: readonly string[], at: Surroundings): Promise<number> {
  if (argv.some((word) => word.startsWith('-') && word !== '-n')) {
    at.stderr(SAVE_HELP);
    return 1;
  }
  return await runIpvsadm(argv.includes('-n') ? ['-S', '-n'] : ['-S'], at);
}

/** Output of `ipvsadm-restore -h`. */
export const RESTORE_HELP = `ipvsadm-restore: replaces the rules of the director by those of the standard input.
`;

/** Replaces the rules by those of the standard input; lines that begin with # are ignored. */
export async function runRestore(argv: readonly string[], at: Surroundings): Promise<number> {
  // A request for help must not remove all rules.
  if (argv.some((word) => word.startsWith('-'))) {
    at.stderr(RESTORE_HELP);
    return 1;
  }
  let text = '';
  for await (const part of at.stdin()) text += part;
  const rules = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
  await runIpvsadm(['-C'], at);
  return await runIpvsadm(['-R'], { ...at, stdin: () => [rules] });
}
