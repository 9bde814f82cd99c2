/** Programs find services by firewall marks as the director does: rules in order, the mark before the packet's address. */
import { describe, expect, test } from 'vitest';
import type { MarkRule } from '../../src/model/command.ts';
import { Pair } from './pair.ts';

const SERVERS = ['10.0.0.1:80', '10.0.0.2:80'];
const SERVERS6 = ['[fd00::1]:80', '[fd00::2]:80'];

class Marked extends Pair {
  mark(...rules: readonly MarkRule[]): void {
    this.both((one) => {
      one.director.apply({ op: 'set-marks', rules }, one.now);
      one.settle();
    });
  }
}

/** Programs know the next hops of clients that the director has sent to. */
const CLIENT = '203.0.113.1';
const CLIENT6 = '[2001:db8:1::1]';
function known(hook: 'xdp' | 'tc'): Marked {
  const pair = new Marked(hook);
  pair.serve('tcp 192.0.2.99:80', ['10.0.0.9:80']);
  pair.serve('tcp [2001:db8::99]:80', ['[fd00::9]:80']);
  pair.receive(`${CLIENT}:1 > 192.0.2.99:80 SYN DF`, `${CLIENT6}:1 > [2001:db8::99]:80 SYN DF`);
  return pair;
}

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test.each(
    (['nat', 'dr', 'tunnel'] as const).flatMap((method) =>
      ([4, 6] as const).map((family) => [method, family] as const),
    ),
  )('makes and forwards connections of a service by mark, by %s over IPv%i', (method, family) => {
    const pair = known(hook);
    const [client, vip, servers, name] =
      family === 4
        ? [CLIENT, '192.0.2.80', SERVERS, 'mark 7']
        : [CLIENT6, '[2001:db8::80]', SERVERS6, 'mark6 7'];
    pair.serve(name, servers, { method });
    pair.mark({ mark: 7, to: vip.replace(/[[\]]/g, ''), protocol: 'tcp', port: [80, 443] });
    expect(pair.receive(`${client}:4000 > ${vip}:80 SYN DF`)).toBe(1);
    const server = method === 'nat' ? servers.at(-1)! : `${vip}:80`;
    expect(
      pair.receive(
        `${server} > ${client}:4000 SYN+ACK DF`,
        `${client}:4000 > ${vip}:80 ACK DF`,
        `${client}:4001 > ${vip}:443 SYN DF`,
      ),
    ).toBe(method === 'nat' ? 3 : 2);
    // No rule matches.
    expect(
      pair.receive(`${client}:4002 > ${vip}:444 SYN DF`, `${client}:4002 > ${vip}:80 UDP len=9 DF`),
    ).toBe(0);
    expect(pair.offloaded.connections).toHaveLength(4);
  });

  test('the first rule that matches decides, and a mark comes before an address', () => {
    const pair = known(hook);
    pair.serve('mark 1', ['10.0.0.1:0']);
    pair.serve('mark 2', ['10.0.0.2:8080']);
    pair.serve('tcp 192.0.2.80:80', ['10.0.0.3:80']);
    pair.mark(
      { mark: 9, to: '192.0.2.81' },
      { mark: 1, to: '192.0.2.0/24', from: '198.51.100.0/24' },
      { mark: 2, to: '192.0.2.80', port: [80, 90] },
    );
    const expected = (line: string, forwarded: number, server: string) => {
      expect(pair.receive(line), line).toBe(forwarded);
      expect(pair.offloaded.connections.join('\n')).toContain(
        `${line.split(' ').slice(0, 3).join(' ').replace(' > ', ' ')} ${server}`,
      );
    };
    expected(`${CLIENT}:4000 > 192.0.2.80:80 SYN DF`, 1, '10.0.0.2:8080');
    expected(`${CLIENT}:4001 > 192.0.2.80:90 SYN DF`, 1, '10.0.0.2:8080');
    // The client is in no route that programs know.
    expected('198.51.100.7:4002 > 192.0.2.80:80 SYN DF', 0, '10.0.0.1:80');
    expected('198.51.100.7:4003 > 192.0.2.80:81 SYN DF', 1, '10.0.0.1:81');
    // A mark without a service.
    pair.mark({ mark: 9, to: '192.0.2.80' }, { mark: 2 });
    expected(`${CLIENT}:4004 > 192.0.2.80:80 SYN DF`, 1, '10.0.0.3:80');
    expect(pair.receive(`${CLIENT}:4005 > 192.0.2.80:81 SYN DF`)).toBe(0);
    // Without rules.
    pair.mark();
    expected(`${CLIENT}:4006 > 192.0.2.80:80 SYN DF`, 1, '10.0.0.3:80');
  });

  test.each<[string, MarkRule, number]>([
    ['all addresses', { mark: 7 }, 1],
    ['::/0, which has IPv4 addresses, too', { mark: 7, to: '::/0' }, 1],
    ['::/80', { mark: 7, to: '::/80' }, 1],
    ['0.0.0.0/0', { mark: 7, to: '0.0.0.0/0', from: '0.0.0.0/0' }, 1],
    ['an IPv6 prefix', { mark: 7, to: '2001:db8::/32' }, 0],
  ])('%s', (_what, rule, forwarded) => {
    const pair = known(hook);
    pair.serve('mark 7', SERVERS);
    pair.mark(rule);
    expect(pair.receive(`${CLIENT}:4000 > 192.0.2.80:80 SYN DF`)).toBe(forwarded);
  });

  test('one template for all protocols and ports of a mark', () => {
    const pair = known(hook);
    pair.serve('mark 7', ['10.0.0.1:0', '10.0.0.2:0'], { persistent: 300 });
    pair.serve('mark6 7', ['[fd00::1]:0', '[fd00::2]:0'], { persistent: 300, persistencePrefix: 64 });
    pair.mark({ mark: 7 });
    for (const [client, vip] of [
      [CLIENT, '192.0.2.80'],
      [CLIENT6, '[2001:db8::80]'],
    ]) {
      expect(pair.receive(`${client}:4000 > ${vip}:80 SYN DF`)).toBe(0);
      expect(
        pair.receive(`${client}:4001 > ${vip}:443 SYN DF`, `${client}:4002 > ${vip}:53 UDP len=9 DF`),
      ).toBe(2);
    }
    expect(pair.offloaded.connections.filter((line) => line.startsWith('IP '))).toHaveLength(2);
  });

  test('one-packet scheduling concerns datagrams alone', () => {
    const pair = known(hook);
    pair.serve('mark 7', SERVERS, { ops: true });
    pair.mark({ mark: 7 });
    const before = pair.offloaded.connections.length;
    expect(pair.receive(`${CLIENT}:4000 > 192.0.2.80:53 UDP len=9 DF`)).toBe(1);
    expect(pair.offloaded.connections).toHaveLength(before);
    expect(pair.receive(`${CLIENT}:4000 > 192.0.2.80:80 SYN DF`)).toBe(1);
    expect(pair.offloaded.connections).toHaveLength(before + 1);
  });

  test('what programs cannot admit goes up: fragments, errors, SCTP, unknown segments; replies of servers', () => {
    const pair = known(hook);
    pair.serve('mark 7', SERVERS, { scheduler: 'lblc' });
    pair.mark({ mark: 7, to: '192.0.2.80' });
    pair.receive(`${CLIENT}:4000 > 192.0.2.80:80 SYN DF`);
    const [line] = pair.offloaded.connections.filter((each) => each.includes(':4000'));
    const server = line!.split(' ').at(-1)!;
    expect(pair.receive(`${server} > ${CLIENT}:4000 SYN+ACK DF`)).toBe(1);
    pair.receive(
      `198.51.100.9 > 192.0.2.80 ICMP 3/4 mtu=1300 [192.0.2.80:80 > ${CLIENT}:4000 ACK]`,
      `${CLIENT}:4001 > 192.0.2.80:53 UDP len=16 frag=0+`,
      `${CLIENT}:4002 > 192.0.2.80:80 SCTP INIT`,
      `${CLIENT}:4003 > 192.0.2.80:80 ACK`,
      `${server} > ${CLIENT}:4009 ACK`,
      `${server.split(':')[0]} > ${CLIENT} ICMP 3/3 [${CLIENT}:4000 > ${server} ACK]`,
    );
    expect(pair.offloaded.connections.join()).toContain('SCTP');
  });
});
