/** Answers GET /metrics over HTTP, within limits. */
import { createServer, type Server } from 'node:http';
import { LvsError } from '../model/errors.ts';
import { CONTENT_TYPE } from './exposition.ts';

/** Clients at a time, octets of a request's header, ms for a request. */
const MAX_CLIENTS = 16;
const MAX_HEADER = 8192;
const REQUEST_LIMIT = 5000;

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  /** The text at this moment. */
  readonly text: () => Promise<string>;
  /** Hears of a text that could not be made. */
  readonly failed: (error: unknown) => void;
}

/** Resolves when it listens; rejects with LvsError IO where it cannot. */
export function serveMetrics({ host, port, text, failed }: MetricsServerOptions): Promise<Server> {
  const server = createServer(
    { maxHeaderSize: MAX_HEADER, requestTimeout: REQUEST_LIMIT, headersTimeout: REQUEST_LIMIT },
    (request, response) => {
      const end = (status: number, type: string, body: string) => {
        response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
        response.end(request.method === 'HEAD' ? undefined : body);
      };
      if (request.method !== 'GET' && request.method !== 'HEAD') return end(405, 'text/plain', 'GET only\n');
      if (request.url?.split('?')[0] !== '/metrics')
        return end(404, 'text/plain', 'metrics are at /metrics\n');
      text().then(
        (body) => end(200, CONTENT_TYPE, body),
        (error: unknown) => {
          failed(error);
          end(500, 'text/plain', 'no metrics now\n');
        },
      );
    },
  );
  server.maxConnections = MAX_CLIENTS;
  server.keepAliveTimeout = REQUEST_LIMIT;
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new LvsError('IO', `metrics on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen({ port, ...(host === '' ? {} : { host }) }, () => resolve(server));
  });
}
