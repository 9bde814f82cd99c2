/** The map of the interfaces by which the director's frames may leave, and the program at the tap that reads it. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, MAC } from '../wire/ethernet.ts';

import { Attachments } from './attach.ts';
import { HAND_BACK, handBackCode, INTERFACE_KEY, INTERFACE_VALUE } from './hand-back.ts';
import type { Hook } from './hooks.ts';
import type { NextHop } from './next-hops.ts';

/** Interfaces that the map has room for. */
const MAX_INTERFACES = 4096;

export class HandBack implements Disposable {
  readonly #tap: number;
  readonly #map: BpfMap;
  readonly #attachments: Attachments;
  /** MAC addresses in the map, by interface index. */
  readonly #known = new Map<number, string>();

  /** `tap`: index of the tap device. Throws VerifierError and SystemCallError. */
  constructor(bpf: Bpf, hook: Hook, tap: number) {
    this.#tap = tap;
    this.#map = new BpfMap(bpf, {
      type: 'hash',
      name: 'lvs_interfaces',
      keySize: INTERFACE_KEY,
      valueSize: INTERFACE_VALUE,
      entries: MAX_INTERFACES,
    });
    this.#attachments = new Attachments(bpf, {
      hook: hook.name,
      role: 'tap',
      code: handBackCode(hook, this.#map.descriptor),
    });
  }

  /** Attaches the program to the tap unless it is attached. Throws SystemCallError. */
  attach(): void {
    this.#attachments.attach(this.#tap);
  }

  /** Returns the Ethernet header by which the program sends an IPv4 packet to this next hop. Throws SystemCallError. */
  headerOf({ interfaceIndex, to, from }: Pick<NextHop, 'interfaceIndex' | 'to' | 'from'>): Uint8Array {
    const text = from.join();
    if (this.#known.get(interfaceIndex) !== text) {
      const key = new Uint8Array(INTERFACE_KEY);
      new DataView(key.buffer).setUint32(0, interfaceIndex, true);
      this.#map.update(key, Uint8Array.of(...from, 0, 0));
      this.#known.set(interfaceIndex, text);
    }
    const header = new Uint8Array(ETHERNET_HEADER);
    const view = new DataView(header.buffer);
    header.set(to);
    view.setUint16(MAC, HAND_BACK);
    view.setUint32(MAC + 2, interfaceIndex, true);
    view.setUint16(2 * MAC, ETHERTYPE_IPV4);
    return header;
  }

  [Symbol.dispose](): void {
    this.#attachments[Symbol.dispose]();
    this.#map[Symbol.dispose]();
  }
}
