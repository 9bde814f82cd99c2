/** Which new connections programs admit, and why the director admits the others, as operators see it. */
import { expect, test } from 'vitest';
import { linesOf } from '../../../src/cli/director/explain.ts';
import { topLines } from '../../../src/cli/director/top-lines.ts';
import type { DestinationOptions } from '../../../src/model/destination.ts';
import type { ServiceOptions } from '../../../src/model/service.ts';
import { KernelForwarding } from '../../../src/runtime/kernel/kernel-forwarding.ts';
import { ordinaryMemory } from '../../../src/table/memory.ts';
import { type Address, formatAddress, parseAddress } from '../../../src/wire/address.ts';
import { parseMac } from '../../../src/wire/ethernet.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';
import { sharedTable } from '../../offload/shared-table.ts';
import { Directed, OWN } from '../../support/directed.ts';

const MAC = parseMac('02:00:00:00:00:01')!;
const WEB = 'tcp 192.0.2.80:80';
const UNKNOWN = '10.0.0.9';

/** A director whose only program of a scheduler is that of rr; the next hop of UNKNOWN is not known. */
function kernelDirected(hasMarks = true) {
  const shared = { ...sharedTable(ordinaryMemory, 128, 7), records: 4096 };
  const directed = new Directed({ ...shared, maxConnections: 128 });
  const hop = { interfaceIndex: 1, to: MAC, from: MAC, vlan: 0, mtu: 1500, source: parseAddress(OWN)! };
  const find = (to: Address) => (formatAddress(to) === UNKNOWN ? undefined : hop);
  const programs = { has: (name: string) => name === 'rr', hasMarks: () => hasMarks };
  const forwarding = new KernelForwarding(directed.director, shared, find, programs);
  return { directed, forwarding };
}

type Options = Partial<ServiceOptions & DestinationOptions>;
const tunnel = (type: 'gue' | 'gre'): Options => ({
  method: 'tunnel',
  tunnel: { type, port: 6080, checksum: 'none' },
});

test.each<[string, string, readonly string[], Options]>([
  ['kernel', WEB, ['10.0.0.1:80'], {}],
  ['no-destination', WEB, ['10.0.0.1:80'], { weight: 0 }],
  ['kernel', WEB, ['10.0.0.1:80'], { persistent: 60 }],
  ['kernel', WEB, ['10.0.0.1:80'], { persistent: 60, scheduler: 'lblc' }],
  ['engine', 'udp 192.0.2.80:5060', ['10.0.0.1:5060'], { persistent: 60, engine: 'sip' }],
  ['kernel', 'udp 192.0.2.80:53', ['10.0.0.1:53'], { ops: true }],
  ['protocol', 'sctp 192.0.2.80:80', ['10.0.0.1:80'], {}],
  ['kernel', 'tcp 192.0.2.80:0', ['10.0.0.1:0'], { persistent: 60 }],
  ['kernel', 'mark 7', ['10.0.0.1:80'], {}],
  ['scheduler', WEB, ['10.0.0.1:80'], { scheduler: 'lblc' }],
  ['long-list', WEB, Array.from({ length: 1025 }, (_, i) => `10.1.${i >> 8}.${i & 255}:80`), {}],
  ['kernel', WEB, ['10.0.0.1:80', '[fd00::1]:80'], tunnel('gre')],
  ['kernel', 'tcp [2001:db8::80]:80', ['10.0.0.1:80', '[fd00::1]:80'], tunnel('gue')],
  ['next-hop', WEB, ['10.0.0.1:80', `${UNKNOWN}:80`], {}],
])('a snapshot has %s for %s', async (admission, name, destinations, options) => {
  const { directed, forwarding } = kernelDirected();
  directed.serve(name, [], options);
  for (const each of destinations) directed.add(name, each, options);
  await forwarding.review();
  expect(directed.service(name).admission).toBe(admission);
});

test('a service by mark goes up if the rules have no program', async () => {
  const { directed, forwarding } = kernelDirected(false);
  directed.serve('mark 7', ['10.0.0.1:80']);
  await forwarding.review();
  expect(directed.service('mark 7').admission).toBe('mark');
});

test('a service of every port beside FTP, whose data connections may be meant, goes up', async () => {
  const { directed, forwarding } = kernelDirected();
  directed.serve('tcp 192.0.2.80:0', ['10.0.0.1:0'], { persistent: 60 });
  directed.serve('tcp 192.0.2.80:21', ['10.0.0.1:21']);
  await forwarding.review();
  expect(directed.service('tcp 192.0.2.80:0').admission).toBe('every-port');
});

test('top and explain have the reason, and connections that the director admits are counted by it', async () => {
  const { directed, forwarding } = kernelDirected();
  directed.serve(WEB, ['10.0.0.1:80'], { persistent: 60 });
  directed.serve('tcp 192.0.2.80:443', ['10.0.0.1:443']);
  await forwarding.review();
  const explained = (port: number) =>
    linesOf(
      directed.director.explain(packetOfLine(`203.0.113.1:4000 > 192.0.2.80:${port} TCP SYN`), directed.now),
    ).find((line) => line.startsWith('kernel path'));
  const admits = 'kernel path programs admit new connections of this service';
  expect(explained(80)).toBe(`${admits}, the process the first one of each client`);
  expect(explained(443)).toBe(admits);
  const lines = topLines(directed.director.snapshot(directed.now), new Date(0)).rows;
  expect(lines.filter((line) => line.startsWith('tcp')).map((line) => line.split('  ')[0])).toEqual([
    'tcp 192.0.2.80:80',
    'tcp 192.0.2.80:443',
  ]);
  expect(forwarding.leftToDirector).toEqual({});
  directed.receive('203.0.113.1:4001 > 192.0.2.80:80 SYN');
  expect(explained(80)).toBe(admits);
  directed.receive('203.0.113.2:4001 > 192.0.2.80:80 SYN');
  // A packet that programs would have handled comes up for another reason.
  directed.receive('203.0.113.1:4000 > 192.0.2.80:443 SYN');
  directed.set('backup_only', 1);
  directed.director.apply(
    { op: 'start-daemon', daemon: { role: 'backup', interface: 'eth0', syncId: 0 } },
    directed.now,
  );
  expect(directed.service(WEB).admission).toBe('backup');
  expect(forwarding.leftToDirector).toEqual({ persistence: 2, packet: 1 });
});
