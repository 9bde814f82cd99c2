/** Frames of other hosts, which a switch sends to all of its ports: at XDP, a program compares the address. */
import { expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { OwnMacs } from '../../src/offload/own-macs.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { address, destinationAt } from '../forwarding/recorded-host.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { Datapath } from './datapath.ts';
import { arriving, noKernel } from './datapaths.ts';

/** The interface of test runs. */
const LOOPBACK = 1;
const OWN = '02:00:00:00:00:01';
const SAME_BEGIN = '02:00:00:00:01:01';
const SAME_END = '03:00:00:00:00:01';

test.skipIf(noKernel !== undefined)('a program at XDP passes frames of other hosts', () => {
  using macs = new OwnMacs(kernel as Bpf);
  const datapath = Datapath.inKernel('xdp', macs);
  datapath.install({
    ...{ row: 0, protocol: TCP, caddr: address('203.0.113.7'), cport: 4000, vport: 80, dport: 80 },
    ...{ vaddr: address('192.0.2.80'), method: 'dr', destination: destinationAt('10.1.0.11', 80, 'dr') },
  });
  const frame = arriving(packetOfLine('203.0.113.7:4000 > 192.0.2.80:80 ACK len=100 DF'));
  const fates = (...addresses: string[]) =>
    addresses.map((text) => {
      const sent = frame.slice();
      sent.set(parseMac(text)!);
      return datapath.run(sent).fate;
    });
  // The address of the interface is not known.
  expect(fates(OWN, SAME_END)).toEqual(['forwarded', 'forwarded']);
  macs.set(LOOPBACK, OWN);
  expect(fates(OWN, SAME_BEGIN, SAME_END, 'ff:ff:ff:ff:ff:ff')).toEqual([
    'forwarded',
    'pass',
    'pass',
    'pass',
  ]);
  // A device above has the address of a virtual router.
  expect(fates('00:00:5e:00:01:33', '00:00:5e:00:02:33')).toEqual(['forwarded', 'forwarded']);
  macs.set(LOOPBACK, SAME_BEGIN);
  expect(fates(OWN, SAME_BEGIN)).toEqual(['pass', 'forwarded']);
  // Another interface has the same lowest bits of its index.
  macs.set(LOOPBACK + 256, OWN);
  expect(fates(OWN, SAME_BEGIN)).toEqual(['forwarded', 'forwarded']);
});
