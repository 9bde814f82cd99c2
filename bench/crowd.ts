/** Clients of a service for benches of the connection table: by number, 16 connections from each of many addresses. */
import { type Address, parseAddress } from '../src/wire/address.ts';

const CLIENT_PORTS = 16;
const FAMILIES = {
  IPv4: { client: '10.0.0.0', vip: '192.0.2.80', destination: '10.255.0.1' },
  IPv6: { client: '2001:db8::', vip: '2001:db8:1::80', destination: '2001:db8:2::1' },
};

export class Crowd {
  readonly caddr: Address;
  readonly vaddr: Address;
  readonly daddr: Address;
  readonly #base: number;

  constructor(family: keyof typeof FAMILIES) {
    const { client, vip, destination } = FAMILIES[family];
    this.caddr = parseAddress(client)!;
    this.vaddr = parseAddress(vip)!;
    this.daddr = parseAddress(destination)!;
    this.#base = this.caddr[3]!;
  }

  /** Makes `caddr` that of the connection, and returns its port. */
  cport(connection: number): number {
    this.caddr[3] = this.#base + Math.floor(connection / CLIENT_PORTS);
    return 1024 + (connection % CLIENT_PORTS);
  }
}
