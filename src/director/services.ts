/** Virtual services by address, port and mark, and the order in which a packet is matched against them. */

import { FTP_DATA_PORT, FTP_PORT, type ServiceOptions } from '../model/service.ts';
import { portInPacketOrder } from '../table/packet-order.ts';
import { SERVICE } from '../table/record-layout.ts';
import type { ServiceRecords } from '../table/service-records.ts';
import { assertFit } from '../table/unfit-memory.ts';
import { type Address, ANY4, ANY6, sameAddress } from '../wire/address.ts';
import { mix } from '../wire/hash.ts';
import { TCP } from '../wire/tcp.ts';
import { AddressFilter } from './address-filter.ts';
import type { Meters } from './meters.ts';
import { Service, type ServiceKey } from './service.ts';

/** From here on, ports may be the data connections of passive FTP. */
const FIRST_UNPRIVILEGED_PORT = 1024;

/** The services of a director, with the kernel's lookup order. */
export class ServiceRegistry {
  readonly #buckets = new Map<number, Service[]>();
  readonly #all = new Set<Service>();
  /** Number of services on port 21 and on port 0, per family: 0 skips those lookups. */
  readonly #ftp = { 4: 0, 6: 0 };
  readonly #anyPort = { 4: 0, 6: 0 };
  readonly #count = { 4: 0, 6: 0 };
  /** Changes whenever a service is added or removed. */
  #revision = 0;
  /** Virtual addresses. */
  readonly addresses = new AddressFilter();

  readonly #records: ServiceRecords;

  readonly #meters: Meters;

  constructor(records: ServiceRecords, meters: Meters) {
    this.#records = records;
    this.#meters = meters;
  }

  get revision(): number {
    return this.#revision;
  }

  /** In order of addition. */
  get all(): Iterable<Service> {
    return this.#all;
  }

  /** Reports whether a service of that family exists: otherwise its packets are left to the host. */
  serves(family: 4 | 6): boolean {
    return this.#count[family] > 0;
  }

  /** Makes a service, which `add` makes known. Throws an LvsError if there is no room for its record. */
  make(key: ServiceKey, options: ServiceOptions): Service {
    const index = this.#records.make(key);
    return new Service(index, key, options, this.#records, this.#meters.ofService(index, true));
  }

  /** Takes over the records that another process has left, in the order of their addition. Throws UnfitMemory. */
  adopt(
    isDestination: (number: number) => boolean,
    optionsOf: (records: ServiceRecords, index: number) => ServiceOptions,
  ): Service[] {
    const records = this.#records;
    return records.adopt(isDestination).map((index) => {
      const protocol = records.half(index, SERVICE.protocol);
      const key: ServiceKey = {
        protocol: protocol & 0xff,
        family: protocol >>> 8 === 4 ? 4 : 6,
        address: records.address(index, SERVICE.address),
        port: portInPacketOrder(records.half(index, SERVICE.port)),
        mark: records.word(index, SERVICE.mark) >>> 0,
      };
      assertFit(this.get(key) === undefined, () => `service ${index}: another one has its address`);
      const service = new Service(
        index,
        key,
        optionsOf(records, index),
        records,
        this.#meters.ofService(index, false),
      );
      this.add(service);
      return service;
    });
  }

  /** Returns the numbers of the destinations in the list of a service, newest first. */
  listed({ index }: Service): readonly number[] {
    return this.#records.list(index);
  }

  add(service: Service): void {
    const hash = hashOf(service.protocol, service.address, service.port, service.mark);
    const bucket = this.#buckets.get(hash);
    if (bucket) bucket.push(service);
    else this.#buckets.set(hash, [service]);
    this.#all.add(service);
    this.addresses.add(service.address);
    this.#tally(service, 1);
  }

  remove(service: Service): void {
    const hash = hashOf(service.protocol, service.address, service.port, service.mark);
    const rest = this.#buckets.get(hash)!.filter((other) => other !== service);
    if (rest.length > 0) this.#buckets.set(hash, rest);
    else this.#buckets.delete(hash);
    this.#all.delete(service);
    this.addresses.remove(service.address);
    this.#tally(service, -1);
    this.#records.release(service.index);
  }

  /** Makes numbers of removed services available. To be called once a second. */
  recycle(): void {
    this.#records.recycle();
  }

  #tally(service: Service, by: 1 | -1): void {
    this.#revision++;
    this.#count[service.family] += by;
    if (service.mark !== 0) return;
    if (service.port === FTP_PORT) this.#ftp[service.family] += by;
    if (service.port === 0) this.#anyPort[service.family] += by;
  }

  /** Returns the service with exactly this key. */
  get(key: ServiceKey): Service | undefined {
    return this.#find(key.protocol, key.family, key.address, key.port, key.mark);
  }

  /**
   * Returns the service for a packet: by mark, then by exact port, then as FTP data, then by address alone.
   */
  lookup(family: 4 | 6, mark: number, protocol: number, address: Address, port: number): Service | undefined {
    if (mark !== 0) {
      const marked = this.#find(0, family, family === 4 ? ANY4 : ANY6, 0, mark);
      if (marked) return marked;
    }
    const exact = this.#find(protocol, family, address, port, 0);
    if (exact) return exact;
    if (protocol === TCP && this.#ftp[family] > 0 && mayBeFtpData(port)) {
      const ftp = this.#find(protocol, family, address, FTP_PORT, 0);
      if (ftp) return ftp;
    }
    return this.#anyPort[family] > 0 ? this.#find(protocol, family, address, 0, 0) : undefined;
  }

  #find(protocol: number, family: 4 | 6, address: Address, port: number, mark: number): Service | undefined {
    const bucket = this.#buckets.get(hashOf(protocol, address, port, mark));
    if (bucket === undefined) return undefined;
    for (const service of bucket) {
      const isIt =
        service.port === port &&
        service.protocol === protocol &&
        service.mark === mark &&
        service.family === family &&
        sameAddress(service.address, address);
      if (isIt) return service;
    }
    return undefined;
  }
}

const mayBeFtpData = (port: number): boolean => port === FTP_DATA_PORT || port >= FIRST_UNPRIVILEGED_PORT;

/**
 * Returns a small integer, so that the map's keys are not boxed. Services are configured, not chosen by
 * senders: no seed is needed.
 */
function hashOf(protocol: number, address: Address, port: number, mark: number): number {
  const words = address[0]! ^ address[1]! ^ Math.imul(address[2]!, 31) ^ address[3]!;
  return (mix(words) ^ (port << 8) ^ protocol ^ Math.imul(mark, 0x85ebca6b)) & 0x3fffffff;
}
