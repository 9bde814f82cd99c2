/** Finds out whether a director serves bulk transfers to this host, by a handshake with the key. */
import { once } from 'node:events';
import { connect } from 'node:tls';
import { deriveKey } from '../../sync/sync-keys.ts';
import { clientOptions } from './bulk-tls.ts';

const HANDSHAKE_MS = 3000;

/** Resolves with the reason why the peer cannot send its connections; undefined: it can. `secret`: of the key file. */
export async function peerProblem(
  host: string,
  port: number,
  secret: Uint8Array,
): Promise<string | undefined> {
  const socket = connect({ host, port, ...clientOptions(deriveKey(secret)) });
  const limit = setTimeout(() => socket.destroy(new Error('no answer')), HANDSHAKE_MS);
  try {
    await once(socket, 'secureConnect');
    return undefined;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') return 'no director with a key listens there';
    if (code === 'ECONNRESET') return "it closes the connection: this host's address is not among its peers";
    return code.startsWith('ERR_SSL') ? 'it has another key' : message;
  } finally {
    clearTimeout(limit);
    socket.on('error', () => {}).destroy();
  }
}
