/** What a director with a kernel path looks up for its programs. */
import { expect, test } from 'vitest';
import { KernelForwarding } from '../../../src/runtime/kernel/kernel-forwarding.ts';
import { type Address, formatAddress, parseAddress } from '../../../src/wire/address.ts';
import { parseMac } from '../../../src/wire/ethernet.ts';
import { sharedTable, TestMemory } from '../../offload/shared-table.ts';
import { Directed, OWN } from '../../support/directed.ts';

const MAC = parseMac('02:00:00:00:00:01')!;

test.each(['nat', 'dr', 'tunnel'] as const)('by %s, the next hop of a client is looked up once', (method) => {
  const found: string[] = [];
  const shared = sharedTable(new TestMemory(), 128, 7);
  const directed = new Directed({ ...shared, maxConnections: 128 });
  const find = (to: Address) => {
    found.push(formatAddress(to));
    return {
      interfaceIndex: 1,
      to: MAC,
      from: MAC,
      vlan: 0,
      mtu: 1500,
      source: parseAddress(OWN)!,
      isNeighbor: true,
    };
  };
  new KernelForwarding(directed.director, shared, find);
  directed.serve('tcp 192.0.2.80:80', ['10.0.0.1:80'], { method });
  directed.serve('tcp [2001:db8::80]:80', ['[fd00::1]:80'], { method });
  for (const [client, vip] of [
    ['203.0.113.1', '192.0.2.80'],
    ['[2001:db8:1::1]', '[2001:db8::80]'],
  ] as const) {
    for (let port = 4000; port < 4010; port++) directed.receive(`${client}:${port} > ${vip}:80 SYN DF`);
    expect(found.filter((to) => to === client.replace(/[[\]]/g, ''))).toHaveLength(1);
  }
  // Two addresses of one neighbor share a next hop.
  expect(shared.nextHops.size).toBe(1);
});
