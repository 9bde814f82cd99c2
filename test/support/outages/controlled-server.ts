/** A real server whose answers a test changes: HTTP on 80, HTTPS on 443, SMTP on 25, a banner on 3306. */
import { readFileSync } from 'node:fs';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PROJECT } from '../project.ts';

/** What the server answers. */
export interface Answers {
  /** Whether it listens. */
  isOn: boolean;
  /** Status of every page. */
  status: number;
  /** What /alive says behind the server's name. */
  alive: string;
  version: string;
  /** The certificate at port 443; without, it speaks HTTP. */
  certificate: 'known' | 'unknown' | 'none';
  /** First line of the mail server. */
  greeting: string;
}

export const HEALTHY: Readonly<Answers> = {
  ...{ isOn: true, status: 200, alive: 'ready', version: 'version 7', certificate: 'known' },
  greeting: '220 mail.example.com ESMTP',
};

export class ControlledServer {
  readonly #name: string;
  readonly #address: string;
  #answers: Answers = { ...HEALTHY, isOn: false };
  #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** An empty `address` stands for all addresses of the host. */
  constructor(name: string, address: string) {
    this.#name = name;
    this.#address = address;
  }

  /** Resolves when the server answers so. */
  async change(answers: Partial<Answers>): Promise<void> {
    const before = this.#answers;
    const after = { ...before, ...answers };
    this.#answers = after;
    if (after.isOn === before.isOn && after.certificate === before.certificate) return;
    await this.#stop();
    if (after.isOn) await this.#start();
  }

  async #start(): Promise<void> {
    const page = (request: IncomingMessage, response: ServerResponse) => this.#page(request, response);
    const { certificate } = this.#answers;
    const read = (name: string) => readFileSync(join(PROJECT, 'test/fixtures/tls', name));
    const secure = (prefix: string) =>
      createHttps({ key: read(`${prefix}key.pem`), cert: read(`${prefix}certificate.pem`) }, page);
    const servers: readonly [Server, number][] = [
      [createHttp(page), 80],
      [certificate === 'none' ? createHttp(page) : secure(certificate === 'known' ? '' : 'unknown-'), 443],
      [createServer((socket) => this.#mail(socket)), 25],
      [createServer((socket) => socket.on('error', () => {}).end('database\n')), 3306],
    ];
    this.#servers = servers.map(([server]) => server);
    for (const server of this.#servers)
      server.on('connection', (socket) => {
        this.#sockets.add(socket);
        socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket));
      });
    await Promise.all(
      servers.map(
        ([server, port]) => new Promise<void>((resolve) => server.listen(port, this.#address, resolve)),
      ),
    );
  }

  async #stop(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of this.#sockets) socket.destroy();
    this.#servers = [];
    await Promise.all(closed);
  }

  #page(request: IncomingMessage, response: ServerResponse): void {
    const { status, alive, version } = this.#answers;
    // A page with status 204 has no content.
    response.writeHead(status, { connection: 'close', server: this.#name });
    response.end(request.url === '/version' ? `${version}\n` : `I am ${this.#name}, ${alive}\n`);
  }

  #mail(socket: Socket): void {
    socket.on('error', () => {}).write(`${this.#answers.greeting}\r\n`);
    createInterface({ input: socket }).on('line', (line) => {
      if (/^quit/i.test(line)) socket.end('221 bye\r\n');
      else if (socket.writable) socket.write('250 mail.example.com\r\n');
    });
  }
}
