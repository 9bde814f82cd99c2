/** Short forms of what a row is made of. */
import type { Binding } from '../../src/director/connections.ts';
import type { FiveTuple } from '../../src/model/connection.ts';
import type { NewRow } from '../../src/table/row-fields.ts';
import type { Address } from '../../src/wire/address.ts';

export const ends = (
  protocol: number,
  caddr: Address,
  cport: number,
  vaddr: Address,
  vport: number,
): FiveTuple => ({ protocol, caddr, cport, vaddr, vport });

export const bound = (destination: number, dport: number, flags = 0, salt = 0): Binding => ({
  destination,
  dport,
  flags,
  salt,
});

export const made = (kind: number, destination: number, track = 0, salt = 0): NewRow => ({
  kind,
  destination,
  track,
  salt,
  timeout: 0,
  seen: 0,
});
