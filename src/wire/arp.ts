/** ARP for IPv4 over Ethernet (RFC 826). */
import type { Address } from './address.ts';
import { MAC } from './ethernet.ts';
import type { Frame } from './frame.ts';

/** Bytes of a message. */
export const ARP_LENGTH = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Hardware type Ethernet; its addresses have 6 bytes. */
const HARDWARE_ETHERNET = 1;
/** Protocol type: the EtherType of IPv4; its addresses have 4 bytes. */
const PROTOCOL_IPV4 = 0x0800;
const LENGTHS = 0x0604;

/* Offsets from the message's first byte. */
const HARDWARE = 0;
const PROTOCOL = 2;
const ADDRESS_LENGTHS = 4;
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
const TARGET_IP = 24;

/** Reports whether [at, end) is a message about IPv4 over Ethernet, and every accessor of `arp` is safe. */
export const isArp = (frame: Frame, at: number, end: number): boolean =>
  end - at >= ARP_LENGTH &&
  frame.view.getUint16(at + HARDWARE) === HARDWARE_ETHERNET &&
  frame.view.getUint16(at + PROTOCOL) === PROTOCOL_IPV4 &&
  frame.view.getUint16(at + ADDRESS_LENGTHS) === LENGTHS;

/** Accessors; `at` is the offset of the message in the frame. */
export const arp = {
  operation: (frame: Frame, at: number) => frame.view.getUint16(at + OPERATION),
  /** Returns the offset of the sender's MAC address. */
  senderMac: (at: number) => at + SENDER_MAC,
  /** Return the sender's and the target's IPv4 address, 32 bits of either sign. */
  senderIp: (frame: Frame, at: number) => frame.view.getInt32(at + SENDER_IP),
  targetIp: (frame: Frame, at: number) => frame.view.getInt32(at + TARGET_IP),

  /**
   * Writes a request for the MAC address of `target`. With `sender` unspecified it is a probe, with `sender` equal to
   * `target` an announcement (RFC 5227, 2.1.1 and 2.3).
   */
  writeRequest(frame: Frame, at: number, mac: Uint8Array, sender: Address, target: Address): void {
    const { view, bytes } = frame;
    view.setUint16(at + HARDWARE, HARDWARE_ETHERNET);
    view.setUint16(at + PROTOCOL, PROTOCOL_IPV4);
    view.setUint16(at + ADDRESS_LENGTHS, LENGTHS);
    view.setUint16(at + OPERATION, ARP_REQUEST);
    bytes.set(mac, at + SENDER_MAC);
    view.setInt32(at + SENDER_IP, sender[3]! | 0);
    bytes.fill(0, at + TARGET_MAC, at + TARGET_MAC + MAC);
    view.setInt32(at + TARGET_IP, target[3]! | 0);
  },
} as const;
