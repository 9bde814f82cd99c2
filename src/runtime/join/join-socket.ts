/** Receives heartbeats of servers that join, and answers them. The sockets are opened again until that succeeds. */
import { createSocket, type Socket } from 'node:dgram';
import type { JoinDocument } from '../../config/document.ts';
import { bindReceiver, bindSender, viaInterface } from '../../host/multicast.ts';
import type { Peer } from '../../join/receiver.ts';
import type { Log } from '../log.ts';

/** ms between two tries. */
const RETRY_MS = 1000;
/** Heartbeats, and answers to them, do not leave the segment. */
const TTL = 1;
/** Bytes of the receive buffer: heartbeats of 1,000 servers while the process is busy. */
const BUFFER_BYTES = 1 << 20;
/** Answers that the system has not taken yet. */
const MAX_IN_FLIGHT = 64;

interface Group extends Pick<JoinDocument, 'group' | 'port'> {
  readonly device: string;
}

export class JoinSocket implements Disposable {
  readonly #receive: (datagram: Buffer, from: Peer) => void;
  readonly #log: Log;
  #group: Group | undefined;
  /** The address by which the interface was named. */
  #via = '';
  #sockets: { readonly receiver: Socket; readonly sender: Socket } | undefined;
  #isReady = false;
  #inFlight = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(receive: (datagram: Buffer, from: Peer) => void, log: Log) {
    this.#receive = receive;
    this.#log = log;
  }

  /** Listens to a group from now on; undefined: to none. */
  listen(group: Group | undefined): void {
    if (JSON.stringify(group) === JSON.stringify(this.#group)) return;
    this.#close();
    this.#group = group;
    if (group) void this.#open(group);
  }

  /** Opens the sockets again if the address of the interface has changed. Call it once a second. */
  check(): void {
    const group = this.#group;
    if (!group || !this.#isReady) return;
    try {
      if (viaInterface({ ...group, interface: group.device }) === this.#via) return;
    } catch {
      return; // The interface is down: what is received later is received by these sockets.
    }
    this.#close();
    void this.#open(group);
  }

  /** Sends a datagram to a server. One that cannot be sent is lost: the next heartbeat asks again. */
  reply(datagram: Buffer, { address, port }: Peer): void {
    if (!this.#isReady || this.#inFlight >= MAX_IN_FLIGHT) return;
    this.#inFlight++;
    this.#sockets!.sender.send(datagram, port, address, () => {
      this.#inFlight--;
    });
  }

  [Symbol.dispose](): void {
    this.#group = undefined;
    this.#close();
  }

  async #open(group: Group): Promise<void> {
    const { device } = group;
    const type = group.group.includes(':') ? 'udp6' : 'udp4';
    const to = { interface: device, group: group.group, port: group.port };
    const receiver = createSocket({ type, reuseAddr: true, recvBufferSize: BUFFER_BYTES });
    const sender = createSocket({ type, reuseAddr: true });
    const sockets = { receiver, sender };
    this.#sockets = sockets;
    receiver.on('message', (datagram, from) => this.#receive(datagram, from));
    try {
      this.#via = viaInterface(to);
      await bindReceiver(receiver, to, this.#via);
      // Servers recognize answers by the port.
      await bindSender(sender, { ttl: TTL }, this.#via, group.port);
      if (this.#sockets !== sockets) return;
      for (const socket of [receiver, sender])
        socket.on('error', ({ message }) => this.#log('warning', 'join-socket-failed', { error: message }));
      this.#isReady = true;
      this.#log('info', 'join-listening', { interface: device, group: group.group, port: group.port });
    } catch (error) {
      if (this.#sockets !== sockets) return;
      this.#close();
      const { message } = error as Error;
      this.#log('warning', 'join-socket-failed', { interface: device, error: message });
      this.#retry = setTimeout(() => void this.#open(group), RETRY_MS);
    }
  }

  #close(): void {
    clearTimeout(this.#retry);
    for (const socket of Object.values(this.#sockets ?? {})) {
      // An error while the socket is being opened must not end the process.
      socket.removeAllListeners('error').on('error', () => {});
      try {
        socket.close();
      } catch {
        // It is closed.
      }
    }
    this.#sockets = undefined;
    this.#isReady = false;
  }
}
