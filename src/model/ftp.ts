/** What the director does for FTP control connections with NAT. */

/** Why an announced data connection is not made. The keys are part of the interface. */
export const FTP_REFUSALS = {
  unreadable: 'its address or port cannot be read',
  address: 'it has another address than the control connection',
  port: 'its port is below 1024',
  service: 'another service has its port',
  'server-port': 'the server has another port than the service, so that its data port is not known',
  taken: 'another connection has its addresses and ports',
  'table-full': 'the connection table is full',
} as const;
export type FtpRefusal = keyof typeof FTP_REFUSALS;

export type FtpEvent =
  /** The server's address in a reply became this one. */
  | { readonly what: 'translated'; readonly address: string }
  /** A data connection is expected. The port of a client that opens one is not known. */
  | { readonly what: 'expected'; readonly client: string; readonly virtual: string; readonly server: string }
  | { readonly what: 'refused'; readonly why: FtpRefusal };
