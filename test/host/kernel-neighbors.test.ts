/** Neighbors reported by the kernel, in a separate network namespace: needs root. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelNeighbors } from '../../src/host/kernel-neighbors.ts';
import { enterNetworkNamespace } from '../../src/sys/network-namespace.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { formatMac, parseMac } from '../../src/wire/ethernet.ts';

const NAMESPACE = `lvs-${process.pid}-neighbours`;
const ip = (...words: string[]) => spawnSync('ip', words, { encoding: 'utf8' });

/** ms. */
let now = 0;

/** Enters the namespace, for good: this process is this file's alone. */
async function enter(): Promise<KernelNeighbors | string> {
  try {
    const system = await loadSystem();
    const { status, stderr } = ip('netns', 'add', NAMESPACE);
    if (status !== 0) return stderr.trim();
    enterNetworkNamespace(system, NAMESPACE);
    return new KernelNeighbors(system, () => now);
  } catch (error) {
    return (error as Error).message;
  }
}
const entered = await enter();
const why = typeof entered === 'string' ? entered : undefined;
const neighbors = entered as KernelNeighbors;

test('network namespaces and netlink are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('the neighbor table of the kernel', () => {
  let index = 0;
  beforeAll(() => {
    ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1');
    for (const name of ['eth0', 'eth1']) ip('link', 'set', name, 'up');
    ip('address', 'add', '192.0.2.1/24', 'dev', 'eth0');
    index = Number(ip('-o', 'link', 'show', 'eth0').stdout.split(':')[0]);
  });
  afterAll(() => {
    neighbors[Symbol.dispose]();
    ip('netns', 'del', NAMESPACE);
  });

  const mac = (address: string, at = index) => {
    const known = neighbors.mac(parseAddress(address)!, at);
    return known && formatMac(known);
  };
  const set = (address: string, ...words: string[]) => {
    ip('neigh', 'replace', address, 'dev', 'eth0', ...words);
    neighbors.refresh();
  };
  const stateOf = (address: string) => / ([A-Z]+) *$/m.exec(ip('neigh', 'show', address).stdout)?.[1];

  test.each(['192.0.2.9', '2001:db8::9'])(
    'makes the kernel ask for %s, which it does not know',
    (address) => {
      neighbors.solicit(parseAddress(address)!, index);
      expect(stateOf(address)).toMatch(/INCOMPLETE|FAILED/);
      set(address, 'lladdr', '02:00:00:00:00:09', 'nud', 'stale');
      // A known one is left as it is.
      neighbors.solicit(parseAddress(address)!, index);
      expect(stateOf(address)).toBe('STALE');
    },
  );

  test.each(['192.0.2.7', '2001:db8::7'])('shows %s as long as the kernel knows it', (address) => {
    expect(mac(address)).toBeUndefined();
    set(address, 'lladdr', '02:00:00:00:00:07', 'nud', 'reachable');
    expect(mac(address)).toBe('02:00:00:00:00:07');
    expect(mac(address, index + 1)).toBeUndefined();
    const before = neighbors.mac(parseAddress(address)!, index);
    set(address, 'lladdr', '02:00:00:00:00:07', 'nud', 'stale');
    expect(neighbors.mac(parseAddress(address)!, index)).toBe(before);
    set(address, 'lladdr', '02:00:00:00:00:08', 'nud', 'stale');
    expect(mac(address)).toBe('02:00:00:00:00:08');
    set(address, 'nud', 'failed');
    expect(mac(address)).toBeUndefined();
  });

  test.each(['192.0.2.6', '2001:db8::6'])(
    'remembers %s for a while after the kernel has forgotten it, and asks for it',
    (address) => {
      set(address, 'lladdr', '02:00:00:00:00:06', 'nud', 'stale');
      expect(mac(address)).toBe('02:00:00:00:00:06');
      ip('neigh', 'del', address, 'dev', 'eth0');
      neighbors.refresh();
      expect(mac(address)).toBe('02:00:00:00:00:06');
      neighbors.recall();
      expect(stateOf(address)).toMatch(/INCOMPLETE|FAILED/);
      // It has another MAC address meanwhile.
      set(address, 'lladdr', '02:00:00:00:00:05', 'nud', 'reachable');
      expect(mac(address)).toBe('02:00:00:00:00:05');
      ip('neigh', 'del', address, 'dev', 'eth0');
      neighbors.refresh();
      expect(mac(address)).toBe('02:00:00:00:00:05');
      now += 10_000;
      neighbors.refresh();
      expect(mac(address)).toBeUndefined();
    },
  );

  test('begins with a neighbor that another process has sent to, unless the kernel knows better', () => {
    const left = parseMac('02:00:00:00:00:04')!;
    neighbors.assume(parseAddress('192.0.2.4')!, index, left);
    neighbors.refresh();
    expect(mac('192.0.2.4')).toBe('02:00:00:00:00:04');
    set('192.0.2.3', 'lladdr', '02:00:00:00:00:03', 'nud', 'stale');
    neighbors.assume(parseAddress('192.0.2.3')!, index, left);
    expect(mac('192.0.2.3')).toBe('02:00:00:00:00:03');
  });

  test('is read completely from many datagrams', () => {
    const many = Array.from({ length: 2000 }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
    const lines = many.map(
      (address) => `neigh add ${address} dev eth0 lladdr 02:00:00:00:00:01 nud permanent`,
    );
    spawnSync('ip', ['-batch', '-'], { input: lines.join('\n') });
    neighbors.refresh();
    expect(many.filter((address) => mac(address) === undefined)).toEqual([]);
  });

  test.each(['192.0.2.9', '2001:db8::9'])(
    'shows %s, which is used and stale, and requests it again',
    (address) => {
      set(address, 'lladdr', '02:00:00:00:00:09', 'nud', 'stale');
      neighbors.confirm();
      expect(stateOf(address)).toBe('STALE');
      expect(mac(address)).toBe('02:00:00:00:00:09');
      neighbors.confirm();
      expect(stateOf(address)).toMatch(/^(DELAY|PROBE)$/);
    },
  );
});
