/**
 * The command probe: runs a program; exit status 0 is healthy, and so are others that report a weight. The first line of its
 * output is the message.
 */
import { errorMessage, failureOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';
import { type ProgramResult, runProgram } from './run-program.ts';
import { expandVariables } from './target-variables.ts';

/** Maximum length of a message, characters. */
const MAX_MESSAGE_CHARACTERS = 120;
/** The least exit status that reports a weight, which is the status minus this (MISC_CHECK in keepalived.conf(5)). */
const FIRST_WEIGHT_STATUS = 2;

export const commandProbe: Probe = async ({ address, port, check }, signal) => {
  const [file, ...args] = (check.command ?? []).map((word) => expandVariables(word, { address, port }));
  if (file === undefined) return { healthy: false, message: 'no command is configured' };
  const env = { ...process.env, ADDRESS: address, PORT: String(port) };
  const result = await runProgram([file, ...args], { env, user: check.ids, signal });
  const line = firstLine(result);
  const fail = (reason: string): Observation => ({
    healthy: false,
    message: line === '' ? reason : `${reason}: ${line}`,
  });
  if (signal.aborted) return fail(errorMessage(undefined, signal, check.timeout));
  if (result.error !== undefined) return failureOf(result.error, signal, check.timeout);
  if (result.endedBy !== undefined) return fail(`terminated by ${result.endedBy}`);
  const { status = 0 } = result;
  const weight = check.dynamic && status >= FIRST_WEIGHT_STATUS ? status - FIRST_WEIGHT_STATUS : undefined;
  if (weight !== undefined) return { healthy: true, message: line || `weight ${weight}`, agent: { weight } };
  if (status !== 0) return fail(`status ${status}`);
  const observation = { healthy: true, message: line || 'status 0' };
  return check.dynamic ? { ...observation, agent: { weight: 'configured' } } : observation;
};

/** Returns the first line of the output, shortened. */
export const firstLine = ({ stdout, stderr }: Pick<ProgramResult, 'stdout' | 'stderr'>): string =>
  `${stdout}\n${stderr}`.trim().split('\n')[0]!.slice(0, MAX_MESSAGE_CHARACTERS);
