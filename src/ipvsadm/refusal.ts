/** Messages and exit statuses of ipvsadm for rejected commands. */
import type { Command } from '../model/command.ts';
import type { ErrorCode } from '../model/errors.ts';

/** Exit status of an invalid command line. */
const USAGE = 2;
/** Exit status when the director rejects a command, or options cannot be parsed. */
export const FAILED = 255;
/** Exit status of a failed listing. */
export const LIST_FAILED = 1;

const TRY = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.";

/** A command line that cannot be executed. It ends a run of `-R`, unless it is `passing`. */
export class Refusal extends Error {
  readonly status: number;
  /** True for errors of popt, which fail only this line. */
  readonly passing: boolean;

  constructor(message: string, status: number = USAGE, passing = false) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.passing = passing;
  }
}

export const tryHelp = (): Refusal => new Refusal(TRY, FAILED);

// biome-ignore format: a table
const WORDS: Readonly<Partial<Record<ErrorCode, string>>> = {
  SERVICE_EXISTS:      'Service already exists',
  DESTINATION_EXISTS:  'Destination already exists',
  NO_SUCH_DESTINATION: 'No such destination',
  NO_SUCH_SCHEDULER:   'Scheduler or persistence engine not found',
  INVALID:             'Invalid operation.  Possibly wrong module version, address not unicast, ...',
  OUT_OF_RANGE:        'Numerical result out of range',
  TABLE_FULL:          'Memory allocation problem',
  DAEMON_RUNNING:      'Daemon has already run',
  NO_DAEMON:           'No daemon is running',
  NO_SUCH_DEVICE:      'No such device',
};

/** Returns ipvsadm's message for an error of the director. */
export function wordsFor(code: ErrorCode, message: string, command: Command): string {
  if (code !== 'NO_SUCH_SERVICE') return WORDS[code] ?? message;
  return 'destination' in command ? 'Service not defined' : 'No such service';
}
