import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { servicesOf, systemNames } from '../../src/ipvsadm/names.ts';
import { TemporaryFolder } from '../support/director-apis.ts';

test('a port has the name of its first entry, and every alias resolves to a port', () => {
  const services = servicesOf('# ports\nhttp\t80/tcp\twww # web\nother 80/tcp\n\nhttp 80/udp\nbroken\n');
  expect(services.portName(80, 'tcp')).toBe('http');
  expect(services.portName(80, 'sctp')).toBeUndefined();
  expect(services.portNumber('www', 'tcp')).toBe(80);
  expect(services.portNumber('www', 'udp')).toBeUndefined();
});

test('a host without /etc/services has only numbers', () =>
  expect(systemNames('/nowhere').portName(80, 'tcp')).toBeUndefined());

test('the names of this host resolve', async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file('services'), 'made-up 4711/tcp\n');
  const names = systemNames(folder.file('services'));
  expect(names.portNumber('made-up', 'tcp')).toBe(4711);
  expect(await names.hostAddress('localhost')).toBe('127.0.0.1');
  expect(await names.hostName('127.0.0.1')).toBe('localhost');
  expect(await names.hostAddress('no such host')).toBeUndefined();
});
