/** Probes a destination through the forwarding path: a temporary director forwards the first packet of a connection. */
import { Director } from '../../director/director.ts';
import { CAPTURE_OFFSET, openCapture } from '../../io/pcap.ts';
import { openRawSender, type RawSender } from '../../io/raw-socket.ts';
import type { DestinationAddress, DestinationOptions } from '../../model/destination.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { type Address, formatAddress, isV4, joinEndpoint, parseAddress } from '../../wire/address.ts';
import { ETHERNET_HEADER } from '../../wire/ethernet.ts';
import { Frame } from '../../wire/frame.ts';
import { Packet } from '../../wire/packet.ts';
import { packetOfLine } from '../../wire/packet-line.ts';
import { RST, TCP } from '../../wire/tcp.ts';

/** answered: the server accepts connections. refused: the server sent a reset. silent: no answer. */
export type PathAnswer = 'answered' | 'refused' | 'silent';

export interface Path {
  readonly service: Extract<ServiceAddress, { readonly address: string }>;
  readonly destination: DestinationAddress;
  readonly options: DestinationOptions;
  /** The director's address from which the connection is made. */
  readonly from: string;
  /** The device towards the real server. */
  readonly device: string;
}

/** How long to wait for an answer, ms. */
const ANSWER_TIMEOUT_MS = 1000;
/** MTU of Ethernet, bytes. */
const MTU = 1500;
/** Source ports of probes, below Linux's default range of local ports. */
const FIRST_PORT = 28_000;
const PORTS = 1000;
const MAX_CONNECTIONS = 16;

export class PathProbe {
  readonly #senders = new Map<4 | 6, RawSender>();
  readonly #listening = new Set<string>();
  readonly #waiting = new Map<number, (answer: PathAnswer) => void>();
  readonly #packet = new Packet();
  readonly #frame = new Frame();
  #asked = 0;

  /** Probes once. Sockets and captures stay until the process ends. */
  async ask(path: Path): Promise<PathAnswer> {
    const { service, destination, options, from, device } = path;
    await this.#listen(device);
    for (const family of [4, 6] as const)
      if (!this.#senders.has(family)) this.#senders.set(family, await openRawSender(family));
    const port = FIRST_PORT + (this.#asked++ % PORTS);
    const own = parseAddress(from)!;
    const director = new Director({ host: this.#host(own), maxConnections: MAX_CONNECTIONS });
    director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
    director.apply({ op: 'add-destination', service, destination, options: { ...options, weight: 1 } }, 0);
    const answer = new Promise<PathAnswer>((resolve) => {
      const timer = setTimeout(() => resolve('silent'), ANSWER_TIMEOUT_MS);
      this.#waiting.set(port, (said) => {
        clearTimeout(timer);
        resolve(said);
      });
    });
    const frame = new Frame();
    frame.load(
      packetOfLine(
        `${joinEndpoint(from, port)} > ${joinEndpoint(service.address, service.port)} TCP SYN mss=1400`,
      ),
    );
    director.handle(frame, 0);
    const said = await answer;
    this.#waiting.delete(port);
    return said;
  }

  #host(own: Address) {
    return {
      transmit: (frame: Frame, nextHop: Address) =>
        this.#senders
          .get(isV4(nextHop) ? 4 : 6)!
          .send(frame.bytes, frame.start, frame.length, formatAddress(nextHop)),
      route: () => ({ mtu: MTU, source: own }),
      isLocal: () => false,
    };
  }

  async #listen(device: string): Promise<void> {
    if (this.#listening.has(device)) return;
    this.#listening.add(device);
    const capture = await openCapture(
      { interface: device, filter: 'tcp', snapLength: 256, bufferBytes: 1 << 20, bufferTimeout: 0 },
      (captured) => {
        this.#frame.load(capture.bytes.subarray(CAPTURE_OFFSET + ETHERNET_HEADER, CAPTURE_OFFSET + captured));
        const packet = this.#packet;
        if (!packet.decode(this.#frame) || packet.protocol !== TCP) return;
        this.#waiting.get(packet.dstPort)?.((packet.tcpFlags & RST) !== 0 ? 'refused' : 'answered');
      },
    );
  }
}
