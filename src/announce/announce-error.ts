/** Why announcements could not be changed or confirmed. */

/** Every kind with its description. The names are part of the interface: log, metrics and doctor use them. */
export const ANNOUNCE_ERRORS = {
  'no-supervisor':
    'birdc, or a shell for it, is missing: nothing would withdraw the VIPs when the director is killed',
  'not-running': 'BIRD does not listen on its socket, so nothing announces the VIPs',
  'not-permitted': "the director's user may not use the socket of BIRD",
  timeout: 'BIRD does not answer',
  'invalid-answer': 'the answer is not that of BIRD',
  refused: 'BIRD refuses the configuration or a command',
  'not-included': "BIRD's configuration does not include the file of the director",
  file: 'the file for BIRD cannot be written',
} as const;

export type AnnounceErrorKind = keyof typeof ANNOUNCE_ERRORS;

export class AnnounceError extends Error {
  override readonly name = 'AnnounceError';
  readonly kind: AnnounceErrorKind;

  constructor(kind: AnnounceErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
