/** The smtp probe: connects, expects the greeting of a mail server, introduces itself, and quits. */
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { failureOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

/** ms for which a server that answered may wait before it closes the connection. */
const CLOSE_MS = 1000;

/** The error of the library: a rejection contains the server's response. */
type SmtpError = Error & { readonly response?: string | undefined };

export const smtpProbe: Probe = async ({ address, port, check }, signal) => {
  // The library is loaded by the first check only.
  const { default: SmtpConnection } = await import('nodemailer/lib/smtp-connection');
  return new Promise<Observation>((resolve) => {
    const { timeout, helo = hostname() } = check;
    const failed = (error: SmtpError) => {
      const line = error.response?.split(/\r?\n/)[0];
      resolve(
        line === undefined || line === ''
          ? failureOf(error, signal, timeout)
          : { healthy: false, message: `refused: ${line}` },
      );
      socket.destroy();
    };
    const socket = connect({ host: address, port, signal });
    socket.on('error', failed);
    socket.once('connect', () => {
      const options = { connection: socket, name: helo, ignoreTLS: true, socketTimeout: timeout * 1000 };
      const session = new SmtpConnection({ ...options, socketCloseTimeout: CLOSE_MS });
      session.on('error', failed);
      // A server that closes the connection without an error.
      session.on('end', () => failed(Object.assign(new Error('connection closed'), { code: 'EPIPE' })));
      session.connect((error) => {
        if (error) return failed(error);
        resolve({ healthy: true, message: 'greeted' });
        session.quit();
      });
    });
  });
};
