/** A wrapper that saves every packet of a driver into a pcap file, for tcpdump, Wireshark and replay. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Frame } from '../wire/frame.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, pcapHeader, pcapPacket } from '../wire/pcap-file.ts';
import type { PacketIo } from './packet-io.ts';
import { wrapped } from './wrapped.ts';

/** Octets that are gathered before they are written. */
const BUFFER = 65_536;

/**
 * `io`, with the packets received, and those sent as they were handed over, in the file at `path`, which is made anew.
 * `now` tells the time in ms since 1970. The file is whole after `flush` and after disposal. Throws what the file system
 * says when the file cannot be made; a full disk later ends the recording, not the driver.
 */
export function recorded(io: PacketIo, path: string, now: () => number): PacketIo {
  const file = openSync(path, 'w');
  const gathered: Uint8Array[] = [pcapHeader(io.medium === 'ethernet' ? LINKTYPE_ETHERNET : LINKTYPE_RAW)];
  let octets = 0;
  let broken = false;

  const write = (): void => {
    if (gathered.length === 0) return;
    const chunk = Buffer.concat(gathered);
    gathered.length = 0;
    octets = 0;
    try {
      for (let at = 0; at < chunk.length && !broken; ) at += writeSync(file, chunk, at);
    } catch {
      broken = true;
    }
  };
  const save = (frame: Frame): void => {
    if (broken) return;
    gathered.push(pcapPacket(frame.bytes.subarray(frame.start, frame.end), now()));
    octets += frame.length;
    if (octets >= BUFFER) write();
  };

  const driver = wrapped(io, {
    received: save,
    sent: save,
    close() {
      write();
      closeSync(file);
    },
  });
  return {
    ...driver,
    flush() {
      io.flush();
      write();
    },
  };
}
