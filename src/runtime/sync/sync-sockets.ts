/** UDP sockets of the sync daemons: multicast groups of IPv4 and IPv6, one socket per port (ip_vs_sync.c, Linux 6.1). */
import { createSocket, type Socket } from 'node:dgram';
import { bindReceiver, bindSender, connectTo, viaInterface } from '../../host/multicast.ts';
import type { SyncDaemon } from '../../model/command.ts';
import type { SyncTransport } from '../../sync/synchronization.ts';
import type { Log } from '../log.ts';

/** ms between two tries to open sockets. */
const RETRY_MS = 1000;
/** Messages of a socket that the system has not taken yet; more of them wait in the master. */
const MAX_IN_FLIGHT = 64;
const MAX_PORT = 0xffff;

export interface SyncSocketsOptions {
  /** Takes a message that the backup received. */
  readonly receive: (message: Uint8Array) => void;
  /** Returns the bytes of socket buffers; 0: as the system has them (sync_sock_size). */
  readonly bufferBytes: () => number;
  readonly log: Log;
}

/** A daemon that runs. Its sockets are opened again until that succeeds, for example after its interface has an address. */
interface Opened {
  sockets: readonly Socket[];
  /** Messages in flight, by the number of the socket. */
  readonly inFlight: number[];
  isReady: boolean;
  retry: NodeJS.Timeout | undefined;
}

type Role = SyncDaemon['role'];

/** A daemon with what `start-daemon` adds. */
type Complete = Required<SyncDaemon>;

export class SyncSockets implements SyncTransport {
  readonly #options: SyncSocketsOptions;
  readonly #opened = new Map<Role, Opened>();

  constructor(options: SyncSocketsOptions) {
    this.#options = options;
  }

  open(daemon: SyncDaemon, ports: number): void {
    const opened: Opened = {
      sockets: [],
      inFlight: Array<number>(ports).fill(0),
      isReady: false,
      retry: undefined,
    };
    this.#opened.set(daemon.role, opened);
    void this.#start(daemon as Complete, ports, opened);
  }

  close(role: Role): void {
    this.#end(role);
    this.#options.log('info', 'sync-daemon-stopped', { role });
  }

  #end(role: Role): void {
    const opened = this.#opened.get(role)!;
    this.#opened.delete(role);
    clearTimeout(opened.retry);
    closeAll(opened);
  }

  /** Closes all sockets. */
  [Symbol.dispose](): void {
    for (const role of [...this.#opened.keys()]) this.#end(role);
  }

  send(port: number, message: Uint8Array): boolean {
    const opened = this.#opened.get('master');
    const socket = opened?.sockets[port];
    if (!opened?.isReady || socket === undefined || opened.inFlight[port]! >= MAX_IN_FLIGHT) return false;
    opened.inFlight[port]!++;
    socket.send(message, (error) => {
      opened.inFlight[port]!--;
      if (error) this.#options.log('warning', 'sync-send-failed', { error: error.message });
    });
    return true;
  }

  async #start(daemon: Complete, ports: number, opened: Opened): Promise<void> {
    const { role, group, port, interface: device } = daemon;
    const { log } = this.#options;
    try {
      const via = viaInterface(daemon);
      opened.sockets = Array.from({ length: ports }, () => this.#make(daemon));
      const connect = role === 'master' ? connectSender : bindReceiver;
      await Promise.all(
        opened.sockets.map((socket, i) => connect(socket, { ...daemon, port: (port + i) & MAX_PORT }, via)),
      );
      if (this.#opened.get(role) !== opened) return closeAll(opened);
      opened.isReady = true;
      for (const socket of opened.sockets)
        socket.on('error', (error) => log('warning', 'sync-socket-failed', { role, error: error.message }));
      log('info', 'sync-daemon-started', { role, interface: device, group, port, ports });
    } catch (error) {
      closeAll(opened);
      if (this.#opened.get(role) !== opened) return;
      log('warning', 'sync-socket-failed', {
        role,
        interface: device,
        error: error instanceof Error ? error.message : String(error),
      });
      opened.retry = setTimeout(() => void this.#start(daemon, ports, opened), RETRY_MS);
    }
  }

  #make({ role, group }: Complete): Socket {
    const bytes = this.#options.bufferBytes();
    const isMaster = role === 'master';
    const socket = createSocket({
      type: group.includes(':') ? 'udp6' : 'udp4',
      reuseAddr: !isMaster,
      ...(bytes > 0 && (isMaster ? { sendBufferSize: bytes } : { recvBufferSize: bytes })),
    });
    if (!isMaster) socket.on('message', this.#options.receive);
    return socket;
  }
}

function closeAll(opened: Opened): void {
  for (const socket of opened.sockets) {
    // An error while the socket is being opened must not end the process.
    socket.removeAllListeners('error').on('error', () => {});
    try {
      socket.close();
    } catch {
      // It is closed.
    }
  }
  opened.sockets = [];
  opened.isReady = false;
}

async function connectSender(socket: Socket, daemon: Complete, via: string): Promise<void> {
  await bindSender(socket, daemon, via);
  socket.setMulticastLoopback(false);
  await connectTo(socket, daemon);
}
