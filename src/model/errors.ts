/** Errors that an operator can act on: a stable code, one line, and the cause. */

/** Codes of rejected operations. The control socket sends them; ipvsadm has a message for each. */
export type ErrorCode =
  | 'SERVICE_EXISTS'
  | 'NO_SUCH_SERVICE'
  | 'DESTINATION_EXISTS'
  | 'NO_SUCH_DESTINATION'
  | 'NO_SUCH_SCHEDULER'
  | 'INVALID'
  | 'OUT_OF_RANGE'
  | 'TABLE_FULL'
  | 'DAEMON_RUNNING'
  | 'NO_DAEMON'
  | 'NO_SUCH_DEVICE'
  | 'CONFIG'
  | 'IO'
  | 'UNAVAILABLE'
  | 'PROTOCOL';

export class LvsError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LvsError';
    this.code = code;
  }
}
