/** What ipvsadm says when it does not do as it is told, and its exit status. */
import type { Command } from '../model/command.ts';
import type { ErrorCode } from '../model/errors.ts';

/** Exit status for a command line that makes no sense. */
const USAGE = 2;
/** Exit status for what the director refused, or what could not even be read as options. */
export const FAILED = 255;
/** Exit status of a listing that cannot be made. */
export const LIST_FAILED = 1;

const TRY = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.";

/** A command line that cannot be carried out. With `-R` it ends the whole run, unless it is `passing`. */
export class Refusal extends Error {
  readonly status: number;
  /** True for what popt complains of: it spoils this line only. */
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

/** ipvsadm's own words for what the director refused. */
export function wordsFor(code: ErrorCode, message: string, command: Command): string {
  if (code !== 'NO_SUCH_SERVICE') return WORDS[code] ?? message;
  return 'destination' in command ? 'Service not defined' : 'No such service';
}
