/** Tagged frames, which XDP sees as they are; elsewhere the kernel hands them to the VLAN's own interface. */
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../src/model/connection.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { address, destinationAt } from '../forwarding/recorded-host.ts';
import { Datapath } from './datapath.ts';
import { arriving, ipOf, LEFT, noKernel, typescript } from './datapaths.ts';

const octets = packetOfLine('203.0.113.7:4000 > 192.0.2.80:80 ACK len=100 DF');
const connection = (method: 'nat' | 'dr' | 'tunnel'): Connection => ({
  row: 0,
  protocol: TCP,
  caddr: address('203.0.113.7'),
  cport: 4000,
  vaddr: address('192.0.2.80'),
  vport: 80,
  dport: 80,
  destination: destinationAt('10.1.0.11', 80, method),
  method,
});
/** Control word of a tag: priority 5, VLAN id 0. Such a frame is untagged (IEEE 802.1Q, 9.6). */
const PRIORITY = 0xa000;
const vlanOf = (frame: Uint8Array) => (frame[12] === 0x81 ? (frame[14]! << 8) | frame[15]! : 0);

const places: [string, () => Datapath][] = [['interpreted', () => Datapath.interpreted('xdp')]];
if (noKernel === undefined) places.push(['BPF_PROG_TEST_RUN', () => Datapath.inKernel('xdp')]);

describe.each(places)('XDP, %s', (_name, open) => {
  const datapath = open();
  describe.each(['nat', 'dr', 'tunnel'] as const)('%s', (method) => {
    test.each([
      ['from no VLAN to one', 0, 12],
      ['from a priority tag to none', PRIORITY, 0],
      ['from a priority tag to a VLAN', PRIORITY, 4094],
    ])('%s', (_what, from, to) => {
      datapath.vlan = to;
      const one = connection(method);
      datapath.install(one);
      const { fate, frame } = datapath.run(arriving(octets, from));
      expect([fate, vlanOf(frame)]).toEqual(['forwarded', to]);
      expect(ipOf(frame)).toEqual(typescript(octets, one).sent[0]);
      expect(frame.subarray(0, 12)).toEqual(Uint8Array.of(...LEFT.to, ...LEFT.from));
    });
  });

  test.each([1, 12, PRIORITY | 12, 4095])('passes frames of VLANs: control word %i', (control) => {
    datapath.install(connection('nat'));
    const frame = arriving(octets, control);
    expect(datapath.run(frame)).toEqual({ fate: 'pass', frame });
  });

  test('passes frames with two tags', () => {
    datapath.install(connection('nat'));
    const once = arriving(octets, PRIORITY);
    const twice = Uint8Array.of(...once.subarray(0, 12), 0x81, 0, 0, 9, ...once.subarray(12));
    const outcome = datapath.run(twice);
    expect(outcome).toEqual({ fate: 'pass', frame: twice });
  });
});
