import { expect, test } from 'vitest';
import { amountText } from '../../src/ipvsadm/text.ts';
import { connection, directorApi } from '../support/director-apis.ts';
import { Administered } from '../support/ipvsadm.ts';

test.each([
  [0, '0'],
  [99_999_999, '99999999'],
  [100_000_000, '100000K'],
  [999_999_999, '999999K'],
  [1_000_000_000, '1000M'],
  [99_999_999_999, '99999M'],
  [100_000_000_000, '100G'],
  [99_999_999_999_999, '99999G'],
  [100_000_000_000_000, '100T'],
])('a number %d is printed as %s', (amount, want) => {
  expect(amountText(amount, false)).toBe(` ${want.padStart(8)}`);
  expect(amountText(amount, true).trim()).toBe(String(amount));
});

test('names that are too long are truncated: at the column for IPv4, and at 59 characters', async () => {
  const at = new Administered();
  await at.run('-A -t 192.0.2.99:80 -s rr');
  await at.run('-a -t 192.0.2.99:80 -r 192.0.2.10:8080 -m');
  expect((await at.run('-L')).stdout.split('\n').slice(3)).toEqual([
    'TCP  a-host-with-a-name-that-is-f rr',
    '  -> vip.example:http-alt         Masq    1      0          0         ',
    '',
  ]);
  expect((await at.run('-L --stats')).stdout.split('\n')[3]).toBe(
    'TCP  a-host-with-a-name-that-is-f        0        0        0        0        0',
  );
  expect((await at.run('-S')).stdout).toBe(
    `-A -t ${'a-host-with-a-name-that-is-far-longer-than-any-column-of-the-listing'.slice(0, 59)} -s rr\n` +
      `-a -t ${'a-host-with-a-name-that-is-far-longer-than-any-column-of-the-listing'.slice(0, 59)} -r vip.example:http-alt -m -w 1\n`,
  );
});

test('IPv6 names are printed in brackets, and ports of marks as numbers', async () => {
  const at = new Administered();
  await at.run('-A -t [2001:db8::10]:80');
  await at.run('-A -f 7 -6');
  await at.run('-a -f 7 -6 -r [2001:db8::10]:80 -m');
  expect((await at.run('-L')).stdout.split('\n').slice(3)).toEqual([
    'TCP  [vip6.example]:http wlc',
    'FWM  7 IPv6 wlc',
    '  -> [vip6.example]:80            Masq    1      0          0         ',
    '',
  ]);
});

test('connections are listed in the order received, with the data of their persistence engine', async () => {
  const at = new Administered({
    ...directorApi(),
    async *connections() {
      yield [connection(1)];
      yield [
        { ...connection(2), protocol: 'UDP', state: 'NONE', expires: 3605, engine: 'sip', engineData: 'x@y' },
      ];
    },
  });
  expect((await at.run('-Lnc --persistent-conn')).stdout.split('\n')).toEqual([
    'IPVS connection entries',
    'pro expire state       source             virtual            destination        pe name          pe_data',
    'TCP 14:57  ESTABLISHED 10.0.0.1:1025      10.9.0.1:80        10.1.0.11:8080',
    'UDP 60:05  NONE        10.0.0.2:1026      10.9.0.1:80        10.1.0.11:8080   sip                x@y',
    '',
  ]);
  expect((await at.run('-Lc')).stdout).toContain('10.9.0.1:http      10.1.0.11:http-alt\n');
});
