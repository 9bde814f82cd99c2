/** The parts that are used of two native packages without (usable) types; both are optional and may not have built. */

declare module 'pcap' {
  /** The C++ half of a session (pcap_session.cc). */
  interface NativeSession {
    /** Called by the watcher of the session's descriptor whenever it is readable. */
    read_callback: () => void;
    /** Reads until nothing waits, calling on_packet_ready for each; 0: nothing waits, -1: the interface is gone. */
    dispatch(packet: Uint8Array, header: Uint8Array): number;
  }

  export class PcapSession {
    constructor(
      live: boolean,
      device: string,
      filter: string,
      bufferSize: number,
      snapLength: number,
      outFile: string | null,
      monitor: boolean,
      bufferTimeout: number,
      promiscuous: boolean,
    );
    readonly session: NativeSession;
    readonly link_type: string;
    buf: Uint8Array;
    header: Uint8Array;
    on_packet_ready(): void;
    stats(): { ps_recv: number; ps_drop: number; ps_ifdrop: number };
  }
  export let warningHandler: (message: string) => void;
}

declare module 'raw-socket' {
  interface SocketWrap {
    /** Undocumented, synchronous; throws an Error with the system's message and nothing else. */
    send(
      bytes: Uint8Array,
      offset: number,
      length: number,
      address: string,
      sent: (octets: number) => void,
    ): void;
  }
  interface Socket {
    readonly wrap: SocketWrap;
    pauseRecv(): void;
    setOption(level: number, option: number, value: number): void;
    on(event: 'error', listener: (error: Error) => void): void;
  }
  export function createSocket(options: { protocol: number; addressFamily: 1 | 2 }): Socket;
}
