/** Requests to the JSON gateway of one etcd endpoint, over HTTP or HTTPS, with limits on time and size. */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import { EtcdError } from './etcd-error.ts';

/** Maximum length of an answer, and of a line of a stream, bytes. */
const MAX_ANSWER_BYTES = 16 << 20;
/** Sockets to an endpoint, streams included. */
const MAX_SOCKETS = 8;
/** ms between TCP keep-alive probes: a stream is silent for long times. */
const PROBE_MS = 5000;

/** PEM texts. */
export interface Tls {
  readonly ca?: string;
  /** Certificate and key of this client. etcd must not find a CN in it. */
  readonly cert?: string;
  readonly key?: string;
}

export interface GatewayAnswer {
  readonly status: number;
  readonly body: unknown;
  /** Of the HTTP answer. */
  readonly date?: string;
}

export class Gateway implements Disposable {
  readonly name: string;
  readonly #url: URL;
  readonly #agent: HttpAgent;

  /** `url`: such as https://192.0.2.1:2379. */
  constructor(url: string, tls: Tls = {}) {
    this.#url = new URL(url);
    this.name = this.#url.host;
    const options = { keepAlive: true, keepAliveMsecs: PROBE_MS, maxSockets: MAX_SOCKETS };
    this.#agent = this.#isSecure ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
  }

  get #isSecure(): boolean {
    return this.#url.protocol === 'https:';
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  /** Resolves with the answer, whatever its status. Throws EtcdError if there is none within `timeout` ms. */
  async post(path: string, body: object, token: string | undefined, timeout: number): Promise<GatewayAnswer> {
    const request = this.#send(path, body, token);
    const timer = setTimeout(() => request.destroy(this.#timeout(timeout)), timeout);
    let isComplete = false;
    try {
      const response = await answered(request);
      const parts: Buffer[] = [];
      let bytes = 0;
      for await (const part of response as AsyncIterable<Buffer>) {
        bytes += part.length;
        if (bytes > MAX_ANSWER_BYTES) throw this.#tooLarge();
        parts.push(part);
      }
      isComplete = true;
      const { statusCode: status = 0, headers } = response;
      const body = this.#parsed(Buffer.concat(parts).toString('utf8'));
      return { status, body, ...(headers.date !== undefined && { date: headers.date }) };
    } catch (error) {
      throw this.#errorOf(error);
    } finally {
      clearTimeout(timer);
      // A connection with the rest of an answer cannot be used again.
      if (!isComplete) request.destroy();
    }
  }

  /**
   * Yields the lines of a streaming answer until it ends, or the signal aborts. The first one is an error answer if the status
   * is not 200. Throws EtcdError; also if there is no answer within `timeout` ms.
   */
  async *stream(
    path: string,
    body: object,
    token: string | undefined,
    { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
  ): AsyncGenerator<GatewayAnswer> {
    if (signal.aborted) return;
    const request = this.#send(path, body, token);
    const abort = () => request.destroy();
    signal.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(() => request.destroy(this.#timeout(timeout)), timeout);
    try {
      const response = await answered(request);
      response.socket.setKeepAlive(true, PROBE_MS);
      const status = response.statusCode ?? 0;
      const decoder = new StringDecoder('utf8');
      let text = '';
      for await (const part of response as AsyncIterable<Buffer>) {
        clearTimeout(timer);
        const from = text.length;
        text += decoder.write(part);
        if (text.length > MAX_ANSWER_BYTES) throw this.#tooLarge();
        let end = text.indexOf('\n', from);
        if (end < 0) continue;
        let start = 0;
        for (; end >= 0; start = end + 1, end = text.indexOf('\n', start)) {
          const line = text.slice(start, end);
          if (line.trim() !== '') yield { status, body: this.#parsed(line) };
        }
        text = text.slice(start);
      }
      if (status !== 200 && text.trim() !== '') yield { status, body: this.#parsed(text) };
    } catch (error) {
      if (!signal.aborted) throw this.#errorOf(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      request.destroy();
    }
  }

  #send(path: string, body: object, token: string | undefined): ClientRequest {
    const text = JSON.stringify(body);
    const options = {
      method: 'POST',
      agent: this.#agent,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        ...(token !== undefined && { authorization: token }),
      },
    };
    const url = new URL(`/v3/${path}`, this.#url);
    const request = this.#isSecure ? httpsRequest(url, options) : httpRequest(url, options);
    request.end(text);
    return request;
  }

  #parsed(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      // etcd 3.4, with authentication.
      if (text.startsWith('CommonName of client'))
        throw new EtcdError(
          'not-permitted',
          `etcd ${this.name}: the certificate of this client has a common name (CN): expected one without`,
        );
      throw new EtcdError('invalid-answer', `etcd ${this.name}: invalid answer: expected JSON`, { cause });
    }
  }

  #timeout(ms: number): EtcdError {
    return new EtcdError(
      'timeout',
      `etcd ${this.name}: no answer within ${ms / 1000} s: it is slow, or has no quorum`,
    );
  }

  #tooLarge(): EtcdError {
    return new EtcdError('too-large', `etcd ${this.name}: answer is longer than ${MAX_ANSWER_BYTES} bytes`);
  }

  #errorOf(error: unknown): EtcdError {
    if (error instanceof EtcdError) return error;
    return new EtcdError('unreachable', `etcd ${this.name}: ${reasonOf(error as NodeJS.ErrnoException)}`, {
      cause: error,
    });
  }
}

/** Returns the message of a failed connection, and what to do about certificates. OpenSSL's has more than one line. */
function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  if (/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code))
    return `${message} (tls.ca: expected the authority of the certificate of etcd)`;
  if (/alert (bad certificate|unknown ca|certificate required)/i.test(message))
    return 'etcd refuses the certificate of this client (tls.cert, tls.key: expected one by its --trusted-ca-file)';
  return message.split('\n', 1)[0]!;
}

function answered(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    // Later errors are those of the response.
    request.on('error', reject);
  });
}
