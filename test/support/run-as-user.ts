/** Runs a program as health checks and `notify` do, and prints what it writes: node dist/test/support/run-as-user.js PROGRAM... */
import { runProgram } from '../../src/checks/run-program.ts';

const [, , ...command] = process.argv;
const { stdout, error } = await runProgram(command as [string, ...string[]], {
  env: process.env,
  signal: AbortSignal.timeout(60_000),
});
process.stdout.write(stdout);
// Programs that the director itself needs, such as nft, still have them.
process.stdout.write((await import('node:fs')).readFileSync('/proc/self/status', 'latin1'));
if (error !== undefined) throw error as Error;
