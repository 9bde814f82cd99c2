/** The HTTP server of a director: metrics, status page, JSON. Read-only, within limits. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { LvsError } from '../model/errors.ts';
import { Slice } from '../model/slice.ts';
import { ClientSlots, hasBody, isAllowedHost, limitAnswer } from './client-guard.ts';
import { acceptedEncoding, compress, type Encoding, isCompressible } from './compression.ts';
import { EVENT_STREAM, EventStreams } from './event-stream.ts';
import { PERIOD_MS } from './history.ts';
import type { Observed } from './observed.ts';
import { type Answer, routesOf, TEXT } from './routes.ts';
import { serviceReadiness } from './service-readiness.ts';

/** Maximum number of clients, and maximum length of a request's header, bytes. */
export const MAX_CLIENTS = 64;
const MAX_HEADER_BYTES = 8192;
/** Maximum time for receiving a request, and for reading an answer, ms. */
const REQUEST_TIMEOUT_MS = 5000;
const ANSWER_TIMEOUT_MS = 15_000;
/** Maximum number of requests on one connection. */
const MAX_REQUESTS = 1000;

export interface WebServerOptions {
  readonly host: string;
  readonly port: number;
  readonly observed: Observed;
  /** Called with the error of a failed request. */
  readonly onError: (error: unknown) => void;
  /** Names of this server in requests, besides IP addresses, localhost, the host's name and `host`. */
  readonly names?: readonly string[];
  /** Maximum number of clients. Default MAX_CLIENTS. */
  readonly maxClients?: number | (() => number);
  /** Maximum time for receiving a request, ms. */
  readonly requestLimit?: number;
  /** Maximum time for reading an answer, ms. */
  readonly answerLimit?: number;
  /** Time between two samples of the history, and between two summaries of an event stream, ms. Default PERIOD_MS. */
  readonly period?: number;
}

/** No content of other origins, no inline script, no framing by other pages. */
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

/** Resolves when the server listens. Throws LvsError IO if it cannot. */
export function serveWeb(options: WebServerOptions): Promise<Server> {
  const { host, port, observed, requestLimit = REQUEST_TIMEOUT_MS, maxClients = MAX_CLIENTS } = options;
  const { period = PERIOD_MS } = options;
  const streams = new EventStreams(observed);
  const slots = new ClientSlots(typeof maxClients === 'number' ? () => maxClients : maxClients);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: requestLimit,
      headersTimeout: requestLimit,
      connectionsCheckingInterval: Math.min(1000, requestLimit),
      keepAliveTimeout: requestLimit,
    },
    requestHandler(options, streams, slots),
  );
  server.on('connection', (socket) => slots.take(socket));
  server.maxRequestsPerSocket = MAX_REQUESTS;
  let isRecording = false;
  const ticking = setInterval(() => {
    streams.tick();
    slots.evict();
    if (isRecording) return;
    isRecording = true;
    void observed.history
      .record(observed.summary().rates, observed.services())
      .catch(options.onError)
      .finally(() => {
        isRecording = false;
      });
  }, period).unref();
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

function requestHandler(options: WebServerOptions, streams: EventStreams, slots: ClientSlots) {
  const { host, observed, onError, names = [], answerLimit = ANSWER_TIMEOUT_MS } = options;
  const routes = routesOf(observed);
  const paths = `${[...routes.keys(), EVENTS].join(' ')}\n`;
  const hosts = new Set([host, hostname(), ...names].map((name) => name.toLowerCase()));
  return (request: IncomingMessage, response: ServerResponse): void => {
    slots.progress(request.socket);
    response.on('error', () => {}); // the client has closed the connection
    response.once('finish', () => slots.progress(request.socket));
    const end = (answer: Answer): void => {
      if (response.destroyed) return;
      limitAnswer(response, answerLimit);
      send(answer, encoding, request.method === 'HEAD', response).catch(onError);
    };
    const refuse = (status: number, text: string) => end({ status, type: TEXT, body: [text] });
    const path = pathOf(request.url ?? '');
    const service = path === READINESS ? (queryOf(request.url ?? '').get('service') ?? undefined) : undefined;
    const make = service === undefined ? routes.get(path) : () => serviceReadiness(options.observed, service);
    const encoding = acceptedEncoding(request.headers['accept-encoding']?.toString());
    if (!PROBES.has(path) && !isAllowedHost(request.headers.host, hosts)) {
      response.setHeader('connection', 'close');
      refuse(
        421,
        'unknown host: use the address of this server, its host name, or a name given with --metrics-name\n',
      );
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD').setHeader('connection', 'close');
      refuse(405, 'method not allowed: expected GET or HEAD\n');
    } else if (hasBody(request)) {
      // The body must not be read as the next request.
      response.setHeader('connection', 'close');
      refuse(400, 'unexpected request body\n');
    } else if (path === EVENTS && request.method === 'HEAD')
      end({ status: 200, type: EVENT_STREAM, body: [] });
    else if (path === EVENTS) {
      if (streams.open(request, response, HEADERS)) slots.release(request.socket);
      else refuse(503, 'event stream: the limit of clients is reached\n');
    } else if (!make) refuse(404, paths);
    else
      make(queryOf(request.url ?? '')).then(end, (error: unknown) => {
        onError(error);
        refuse(500, 'internal error\n');
      });
  };
}

/** Compressed bodies of answers, which several clients share. */
const compressed = new WeakMap<Answer, Map<Encoding, Promise<readonly Buffer[]>>>();

function compressedBody(answer: Answer, encoding: Encoding): Promise<readonly Buffer[]> {
  const known = compressed.get(answer) ?? new Map<Encoding, Promise<readonly Buffer[]>>();
  compressed.set(answer, known);
  const body = known.get(encoding) ?? compress(answer.body, encoding);
  known.set(encoding, body);
  return body;
}

/** Sends an answer as fast as the client reads it, compressed if it accepts that. Works in slices. */
async function send(
  answer: Answer,
  accepted: Encoding | undefined,
  headOnly: boolean,
  response: ServerResponse,
): Promise<void> {
  const encoding = isCompressible(answer.body) ? accepted : undefined;
  const body = encoding === undefined ? answer.body : await compressedBody(answer, encoding);
  if (response.destroyed) return;
  const length = body.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  response.writeHead(answer.status, {
    ...HEADERS,
    'content-type': answer.type,
    'content-length': length,
    vary: 'accept-encoding',
    ...(encoding !== undefined && { 'content-encoding': encoding }),
  });
  const slice = new Slice();
  for (const part of headOnly ? [] : body) {
    if (response.destroyed) return;
    if (!response.write(part)) await drained(response);
    else if (slice.spent) await slice.next();
  }
  response.end();
}

/** Resolves when the client has read most of the answer, or has closed the connection. */
const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const go = () => {
      response.off('drain', go);
      response.off('close', go);
      resolve();
    };
    response.on('drain', go);
    response.on('close', go);
    if (response.destroyed) go();
  });

/** Returns the path without the query, and without the authority that a proxy may send (RFC 9112 section 3.2.2). */
const pathOf = (url: string): string => url.replace(/^https?:\/\/[^/?]*/i, '').split('?')[0] || '/';

const queryOf = (url: string): URLSearchParams => new URLSearchParams(url.split('?')[1] ?? '');

const READINESS = '/readyz';
const EVENTS = '/api/v1/events';
/** Resources without information about the director, which load balancers and supervisors request by any name. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', READINESS]);
