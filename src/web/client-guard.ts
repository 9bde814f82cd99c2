/** Keeps clients from holding the server: too slow, or sending what nobody asked for. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Characters that may wait for a client that does not read. */
const MAX_WAITING = 1024 * 1024;

/** ms in which an answer has to be read; the client is cut off otherwise. */
export function limitAnswer(response: ServerResponse, limit: number): void {
  const timer = setTimeout(() => response.destroy(), limit).unref();
  response.once('close', () => clearTimeout(timer));
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/** Writes unless too much waits already: the client is cut off then. */
export function writeOrCut(response: ServerResponse, text: string): void {
  if (response.destroyed) return;
  if (response.writableLength + text.length > MAX_WAITING) response.destroy();
  else response.write(text);
}
