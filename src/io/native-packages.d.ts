/** Declares the used parts of two native packages without (usable) types. Both are optional and may be missing. */

declare module 'pcap' {
  /** The C++ half of a session (pcap_session.cc). */
  interface NativeSession {
    /** Called by the descriptor's watcher whenever the session is readable. */
    read_callback: () => void;
    /** Reads all waiting packets, calling on_packet_ready for each. Returns -1 if the interface was deleted. */
    dispatch(packet: Uint8Array, header: Uint8Array): number;
    /** Makes the read that finds the next packet the last one: it returns -2 and frees the session. */
    close(): void;
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
    /** Sends an Ethernet frame. Throws without a reason. */
    inject(frame: Uint8Array): void;
    stats(): { ps_recv: number; ps_drop: number; ps_ifdrop: number };
  }
  export let warningHandler: (message: string) => void;
}

declare module 'raw-socket' {
  interface SocketWrap {
    /** Undocumented, synchronous; throws an Error with the system's error message. */
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
