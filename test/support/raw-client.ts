/** A client of the control socket that sends any text. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class RawClient implements Disposable {
  readonly socket: Socket;
  /** Resolves with all that the director said, once it has ended the connection. */
  readonly ended: Promise<string>;
  #said = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    this.ended = new Promise((resolve) => socket.once('close', () => resolve(this.#said)));
  }

  static async at(path: string): Promise<RawClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Says it, and reads on to the end. */
  say(text: string): this {
    this.socket.on('data', (octets) => {
      this.#said += octets.toString();
    });
    this.socket.write(text);
    return this;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
