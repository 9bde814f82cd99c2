/** The ports, with which the headers of TCP, UDP and SCTP begin. `at` is the offset of the header in the frame. */
import { change16 } from './checksum.ts';
import type { Frame } from './frame.ts';

/* Offsets from the header's first byte. */
export const SRC_PORT = 0;
export const DST_PORT = 2;

export const srcPort = (frame: Frame, at: number): number => frame.view.getUint16(at + SRC_PORT);
export const dstPort = (frame: Frame, at: number): number => frame.view.getUint16(at + DST_PORT);

/** Sets the source port; returns the change, with which the caller updates the checksum. */
export function setSrcPort(frame: Frame, at: number, port: number): number {
  const change = change16(frame.view.getUint16(at + SRC_PORT), port);
  frame.view.setUint16(at + SRC_PORT, port);
  return change;
}

/** Sets the destination port; returns the change, with which the caller updates the checksum. */
export function setDstPort(frame: Frame, at: number, port: number): number {
  const change = change16(frame.view.getUint16(at + DST_PORT), port);
  frame.view.setUint16(at + DST_PORT, port);
  return change;
}
