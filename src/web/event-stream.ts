/** Server-sent events (WHATWG HTML, section 9.2): a summary every two seconds, and each event of the log. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { summaryDocument } from './api.ts';
import { writeOrCut } from './client-guard.ts';
import type { LogEvent } from './events.ts';
import type { Observed } from './observed.ts';

export const EVENT_STREAM = 'text/event-stream; charset=utf-8';
/** Maximum number of clients of the stream, lower than that of the server: other requests must be served. */
const MAX_LISTENERS = 32;
/** Time that a client waits before it reconnects, ms. */
const RETRY_MS = 3000;

/** The clients of the event stream. */
export class EventStreams {
  readonly #observed: Observed;
  readonly #open = new Set<ServerResponse>();
  readonly #stop: () => void;

  constructor(observed: Observed) {
    this.#observed = observed;
    this.#stop = observed.events.listen((event) => this.#send(formatEvent(event)));
  }

  /** Starts a stream with the events that a returning client missed. Returns false at the limit of clients. */
  open(request: IncomingMessage, response: ServerResponse, headers: OutgoingHttpHeaders): boolean {
    if (this.#open.size >= MAX_LISTENERS) return false;
    this.#open.add(response);
    response.once('close', () => this.#open.delete(response));
    response.writeHead(200, {
      ...headers,
      'content-type': EVENT_STREAM,
      'x-accel-buffering': 'no',
    });
    const last = Number(request.headers['last-event-id'] ?? 0);
    const missed = this.#observed.events.since(Number.isSafeInteger(last) ? last : 0);
    writeOrCut(response, `retry: ${RETRY_MS}\n\n${this.#summary()}${missed.map(formatEvent).join('')}`);
    return true;
  }

  /** Sends a summary. Call it every two seconds. */
  tick(): void {
    if (this.#open.size > 0) this.#send(this.#summary());
  }

  close(): void {
    this.#stop();
    for (const response of this.#open) response.destroy();
  }

  #summary(): string {
    return `event: summary\ndata: ${JSON.stringify(summaryDocument(this.#observed))}\n\n`;
  }

  #send(text: string): void {
    for (const response of this.#open) writeOrCut(response, text);
  }
}

/** Formats an event as one line of data: the JSON has no line ends. */
const formatEvent = (event: LogEvent): string =>
  `id: ${event.id}\nevent: event\ndata: ${JSON.stringify(event)}\n\n`;
