/** Computes the keys of the map of services: which packets without a known flow are sent to the director. */
import { isIPv4, isIPv6 } from 'node:net';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import { countPart, type OwnedChange, type OwnedPart, protocolsOf } from '../model/owned-packets.ts';
import { FTP_PORT, hasFtpHelper, isFtpService, type ServiceOptions } from '../model/service.ts';
import { type Address, isMulticast, isV4, parseAddress } from '../wire/address.ts';
import { ICMP } from '../wire/icmp.ts';
import { ICMP6 } from '../wire/icmp6.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP } from '../wire/udp.ts';
import {
  FROM_SERVER,
  OWN_ADDRESS,
  PIECE_FROM_SERVER,
  PIECE_TO_SERVICE,
  SERVICE_ADDRESS,
  SERVICE_KEY,
  SERVICE_NUMBER,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SERVICE_VALUE,
  SERVICE_VERSION,
  TO_SERVICE,
} from './layout.ts';

/** What decides which packets the kernel's program sends to the director. */
export interface ServedChange extends OwnedChange {
  /** Addresses of the host itself, including VIPs. */
  readonly own: readonly Address[];
}

/** Numbers of the records of services by key: of those whose new connections programs may admit. */
export type ServiceNumbers = ReadonlyMap<string, number>;

/** Flags by key, 0 for a key that is not needed any more; keys are in hexadecimal. */
export type ServiceKeys = ReadonlyMap<string, number>;

/** The keys of the map of services, each with the parts that need it. Services by firewall mark have keys of their destinations alone. */
export class ServiceKeySet {
  /** By key and flag. */
  readonly #parts = new Map<string, number>();
  readonly #flags = new Map<string, number>();
  #tunnels = 0;
  #own: readonly (readonly [key: string, flag: number])[] = [];
  #ownAddresses: readonly Address[] | undefined;
  #hadTunnels = false;

  /** Returns the flags of a key; 0: it is not needed. */
  flags(key: string): number {
    return this.#flags.get(key) ?? 0;
  }

  /** Includes a change, and returns the keys that it concerns, with their flags. */
  change({ added, removed, own }: ServedChange): ServiceKeys {
    const changed = new Map<string, number>();
    const count = ([key, flag]: readonly [string, number], step: 1 | -1) => {
      const parts = countPart(this.#parts, `${key}/${flag}`, step);
      const flags = this.#flags.get(key) ?? 0;
      const now = parts > 0 ? flags | flag : flags & ~flag;
      if (now === flags) return;
      if (now === 0) this.#flags.delete(key);
      else this.#flags.set(key, now);
      changed.set(key, now);
    };
    const countAll = (parts: readonly OwnedPart[], step: 1 | -1) => {
      for (const part of parts) {
        if (part.destination?.method === 'tunnel') this.#tunnels += step;
        for (const each of keysOf(part)) count(each, step);
      }
    };
    countAll(added, 1);
    countAll(removed, -1);
    const hasTunnels = this.#tunnels > 0;
    if (own === this.#ownAddresses && hasTunnels === this.#hadTunnels) return changed;
    this.#ownAddresses = own;
    this.#hadTunnels = hasTunnels;
    const before = this.#own;
    this.#own = own.flatMap((address) => ownKeys(address, hasTunnels));
    for (const each of this.#own) count(each, 1);
    for (const each of before) count(each, -1);
    return changed;
  }
}

/** The identity of a service, and the number of its record. */
interface NumberedService {
  readonly index: number;
  readonly protocol: number;
  readonly address: Address;
  readonly port: number;
  /** 0: none. */
  readonly mark: number;
  readonly options: Pick<ServiceOptions, 'helper'>;
}

/**
 * Returns the numbers of services of TCP and UDP. Packets to a multicast address are left to the host
 * (src/director/path/admission.ts). Those to other ports of an address with an FTP service may be its data connections. The director
 * makes all control connections that it assists.
 */
export function serviceNumbers(services: Iterable<NumberedService>): ServiceNumbers {
  const numbers = new Map<string, number>();
  const ftp: string[] = [];
  for (const service of services) {
    const { index, protocol, address, port, mark } = service;
    if ((protocol !== TCP && protocol !== UDP) || mark !== 0 || isMulticast(address)) continue;
    if (!hasFtpHelper(service)) numbers.set(keyOf(address, port, protocol), index);
    if (port === FTP_PORT) ftp.push(keyOf(address, 0, protocol));
  }
  for (const everyPort of ftp) numbers.delete(everyPort);
  return numbers;
}

/** Returns a value of the map. */
export function serviceValue(flags: number, number: number): Uint8Array {
  const value = new DataView(new ArrayBuffer(SERVICE_VALUE));
  value.setUint32(0, flags, true);
  value.setUint32(SERVICE_NUMBER, number, true);
  return new Uint8Array(value.buffer);
}

/** Returns the keys of the host's own address. */
function ownKeys(address: Address, hasTunnels: boolean): (readonly [key: string, flag: number])[] {
  const own = [keyOf(address, 0, 0), OWN_ADDRESS] as const;
  // Routers send ICMP errors about a tunnel to the host, where it begins.
  return hasTunnels ? [own, [keyOf(address, 0, icmpOf(address)), PIECE_TO_SERVICE]] : [own];
}

/** Returns the keys of a part: its packets, its fragments, ICMP errors about it. */
function keysOf({ service, destination }: OwnedPart): (readonly [key: string, flag: number])[] {
  if (destination && destination.method !== 'nat') return [];
  const end = destination ?? ('address' in service ? service : undefined);
  const address = end && (isIPv4(end.address) || isIPv6(end.address)) ? parseAddress(end.address) : undefined;
  if (!address) return [];
  const [flag, piece] = destination ? [FROM_SERVER, PIECE_FROM_SERVER] : [TO_SERVICE, PIECE_TO_SERVICE];
  return [
    ...protocolsOf(service).flatMap((name) => {
      const protocol = PROTOCOL_NUMBERS[name];
      return [
        [keyOf(address, end!.port, protocol), flag] as const,
        // Data connections of FTP use any other port of the same address.
        ...(isFtpService(service) ? [[keyOf(address, 0, protocol), flag] as const] : []),
        [keyOf(address, 0, protocol), piece] as const,
      ];
    }),
    [keyOf(address, 0, icmpOf(address)), piece],
    [keyOf(address, 0, 0), piece],
  ];
}

const icmpOf = (address: Address): number => (isV4(address) ? ICMP : ICMP6);

function keyOf(address: Address, port: number, protocol: number): string {
  const octets = Buffer.alloc(SERVICE_KEY);
  if (isV4(address)) octets.writeUInt32BE(address[3]!, SERVICE_ADDRESS);
  else for (const [i, word] of address.entries()) octets.writeUInt32BE(word, SERVICE_ADDRESS + 4 * i);
  octets.writeUInt16BE(port, SERVICE_PORT);
  octets[SERVICE_PROTOCOL] = protocol;
  octets[SERVICE_VERSION] = isV4(address) ? 4 : 6;
  return octets.toString('hex');
}
