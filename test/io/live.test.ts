import { expect, test } from 'vitest';
import { isInterfaceName, linkFacts } from '../../src/host/link-facts.ts';
import { mergingFeatures } from '../../src/host/merge-offloads.ts';
import { checkVips } from '../../src/host/vip-addresses.ts';
import { captureFilter } from '../../src/io/capture.ts';
import { LvsError } from '../../src/model/errors.ts';

test('the capture filter accepts both families by MAC, without the word that loses the first packet', () => {
  const filter = captureFilter('02:00:00:00:00:01');
  expect(filter).toContain('(ip or ip6)');
  expect(filter).toContain('ether dst 02:00:00:00:00:01 and not ether src 02:00:00:00:00:01');
  expect(filter).not.toMatch(/inbound|port/);
});

test.each([
  ['eth0', true],
  ['enp3s0f1np1', true],
  ['eth0.100', true],
  ['sixteen-letters-', false],
  ['../../etc', false],
  ['.', false],
  ['..', false],
  ['a b', false],
  ['a"b', false],
  ['', false],
])('%j names an interface: %s', (name, valid) => {
  expect(isInterfaceName(name)).toBe(valid);
  if (!valid) expect(linkFacts(name)).toBeUndefined();
});

test('the loopback interface has an index and an MTU', () => {
  expect(linkFacts('lo')).toMatchObject({ index: 1, mac: '00:00:00:00:00:00' });
});

test('ethtool lists the features that merge received packets, enabled and changeable', () => {
  const listing = [
    'Features for eth0:',
    'rx-checksumming: on',
    'generic-segmentation-offload: on',
    'generic-receive-offload: on',
    'large-receive-offload: off [fixed]',
    'rx-gro-hw: on [fixed]',
    'rx-gro-list: off',
    'rx-udp-gro-forwarding: on',
  ];
  expect(mergingFeatures(listing.join('\n'))).toEqual(['gro', 'rx-udp-gro-forwarding']);
});

test("the label of a VIP must fit in the kernel's field", () => {
  checkVips([{ device: 'eth0', alias: '101', address: '192.0.2.1' }]);
  expect(() => checkVips([{ device: 'enp3s0f1np1', alias: '10101', address: '192.0.2.1' }])).toThrow(
    LvsError,
  );
  expect(() => checkVips([{ device: 'eth0 up', address: '192.0.2.1' }])).toThrow(LvsError);
});
