/** The HTTP server of a director: metrics, status page, JSON. Reads only, within limits. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { LvsError } from '../model/errors.ts';
import { hasBody, limitAnswer } from './client-guard.ts';
import { EVENT_STREAM, EventStreams } from './event-stream.ts';
import { PERIOD } from './history.ts';
import type { Observed } from './observed.ts';
import { type Answer, routesOf, TEXT } from './routes.ts';

/** Clients at a time, and octets of a request's header. */
export const MAX_CLIENTS = 64;
const MAX_HEADER = 8192;
/** ms for a request to come, and for an answer to be read. */
const REQUEST_LIMIT = 5000;
const ANSWER_LIMIT = 15_000;
/** Requests on one connection. */
const MAX_REQUESTS = 1000;

export interface WebServerOptions {
  readonly host: string;
  readonly port: number;
  readonly observed: Observed;
  /** Hears of an answer that could not be made. */
  readonly failed: (error: unknown) => void;
  /** ms for a request to come. */
  readonly requestLimit?: number;
  /** ms for an answer to be read. */
  readonly answerLimit?: number;
}

/** Nothing from elsewhere, nothing inline, and nobody may frame it. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** Resolves when it listens; rejects with LvsError IO where it cannot. */
export function serveWeb(options: WebServerOptions): Promise<Server> {
  const { host, port, observed, requestLimit = REQUEST_LIMIT } = options;
  const streams = new EventStreams(observed);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER,
      requestTimeout: requestLimit,
      headersTimeout: requestLimit,
      connectionsCheckingInterval: Math.min(1000, requestLimit),
      keepAliveTimeout: requestLimit,
    },
    answering(options, streams),
  );
  server.maxConnections = MAX_CLIENTS;
  server.maxRequestsPerSocket = MAX_REQUESTS;
  const ticking = setInterval(() => {
    observed.history.record(observed.snapshot());
    streams.tick();
  }, PERIOD).unref();
  const stop = () => {
    clearInterval(ticking);
    streams.close();
  };
  server.once('close', stop);
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      stop();
      reject(new LvsError('IO', `metrics on ${host}:${port}: ${cause.message}`, { cause }));
    });
    server.listen({ port, ...(host === '' ? {} : { host }) }, () => resolve(server));
  });
}

function answering(options: WebServerOptions, streams: EventStreams) {
  const { observed, failed, answerLimit = ANSWER_LIMIT } = options;
  const routes = routesOf(observed);
  const paths = `${[...routes.keys(), EVENTS].join(' ')}\n`;
  return (request: IncomingMessage, response: ServerResponse): void => {
    response.on('error', () => {}); // a client that went away
    const end = ({ status, type, body }: Answer) => {
      if (response.destroyed) return;
      limitAnswer(response, answerLimit);
      response.writeHead(status, {
        ...HEADERS,
        'content-type': type,
        'content-length': Buffer.byteLength(body),
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    const refuse = (status: number, body: string) => end({ status, type: TEXT, body });
    const path = pathOf(request.url ?? '');
    const make = routes.get(path);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD').setHeader('connection', 'close');
      refuse(405, 'GET and HEAD only\n');
    } else if (hasBody(request)) {
      // What follows is not read as a request.
      response.setHeader('connection', 'close');
      refuse(400, 'requests have no body here\n');
    } else if (path === EVENTS && request.method === 'HEAD')
      end({ status: 200, type: EVENT_STREAM, body: '' });
    else if (path === EVENTS) {
      if (!streams.open(request, response, HEADERS)) refuse(503, 'too many listen already\n');
    } else if (!make) refuse(404, paths);
    else
      make().then(end, (error: unknown) => {
        failed(error);
        refuse(500, 'there is no answer now\n');
      });
  };
}

/** Without the query, and without what a proxy may put before it (RFC 9112 section 3.2.2). */
const pathOf = (url: string): string => url.replace(/^https?:\/\/[^/?]*/i, '').split('?')[0] || '/';

const EVENTS = '/api/v1/events';
