/** Server-sent events (WHATWG HTML, section 9.2): a summary every two seconds, and what happens when it does. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { summaryDocument } from './api.ts';
import { writeOrCut } from './client-guard.ts';
import type { Happening } from './events.ts';
import type { Observed } from './observed.ts';

export const EVENT_STREAM = 'text/event-stream; charset=utf-8';
/** Of the server's clients, so that others have room. */
const MAX_LISTENERS = 32;
/** ms that a client waits before it comes back. */
const RETRY = 3000;

export class EventStreams {
  readonly #observed: Observed;
  readonly #open = new Set<ServerResponse>();
  readonly #stop: () => void;

  constructor(observed: Observed) {
    this.#observed = observed;
    this.#stop = observed.events.listen((happening) => this.#send(happened(happening)));
  }

  /** Begins with what a returning client has missed; false: there are too many. */
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
    writeOrCut(response, `retry: ${RETRY}\n\n${this.#summary()}${missed.map(happened).join('')}`);
    return true;
  }

  /** To be called every two seconds. */
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

/** JSON has no line ends of its own, so it is one line of data. */
const happened = (happening: Happening): string =>
  `id: ${happening.id}\nevent: event\ndata: ${JSON.stringify(happening)}\n\n`;
