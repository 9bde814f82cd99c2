import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Command } from '../../src/model/command.ts';
import { directorApi } from '../support/director-apis.ts';
import { Administered } from '../support/ipvsadm.ts';

const octet = fc.integer({ min: 1, max: 254 });
const v4 = fc.tuple(octet, octet).map(([a, b]) => `10.${a}.0.${b}`);
const v6 = fc.integer({ min: 1, max: 0xffff }).map((last) => `2001:db8::${last.toString(16)}`);
const port = fc.integer({ min: 1, max: 65535 });
const endpointOf = (address: string, at: number) =>
  address.includes(':') ? `[${address}]:${at}` : `${address}:${at}`;

/** Options of a service, which may need UDP or a mark. */
const options = (family: 4 | 6) =>
  fc
    .record({
      scheduler: fc.constantFrom(
        'rr',
        'wlc',
        'sh -b sh-port',
        'mh -b mh-fallback,mh-port',
        'wrr -b flag-1,flag-3',
      ),
      persistent: fc.option(fc.integer({ min: 1, max: 2_678_400 })),
      mask: fc.option(
        family === 6
          ? fc.integer({ min: 1, max: 128 }).map(String)
          : fc.constantFrom('255.255.0.0', '0.0.0.24', '0.0.0.0'),
      ),
      engine: fc.boolean(),
    })
    .map(({ scheduler, persistent, mask, engine }) => {
      const granularity = mask === null ? '' : ` -M ${mask}`;
      const persistence = persistent === null ? '' : ` -p ${persistent}${granularity}`;
      return `-s ${scheduler}${persistence}${engine ? ' --pe sip' : ''}`;
    });

const tunnel = fc.constantFrom(
  '',
  ' --tun-type gue --tun-port 6080 --tun-remcsum',
  ' --tun-type gue --tun-port 65535',
  ' --tun-type gre --tun-csum',
);

const service = fc.oneof(
  fc
    .tuple(fc.constantFrom('-t', '-u', '--sctp-service'), v4, port)
    .map(([p, a, at]) => [`${p} ${endpointOf(a, at)}`, 4] as const),
  fc
    .tuple(fc.constantFrom('-t', '-u'), v6, port)
    .map(([p, a, at]) => [`${p} ${endpointOf(a, at)}`, 6] as const),
  fc.integer({ min: 1, max: 1e9 }).map((mark) => [`-f ${mark}`, 4] as const),
  fc.integer({ min: 1, max: 1e9 }).map((mark) => [`-f ${mark} -6`, 6] as const),
);

/** A service with destinations, as command lines. */
const block = service.chain(([name, family]) =>
  fc
    .tuple(
      options(family),
      fc.array(
        fc.tuple(
          family === 4 ? v4 : v6,
          port,
          fc.constantFrom('-g', '-m', '-i'),
          fc.nat(2_147_483_647),
          tunnel,
        ),
        { maxLength: 4 },
      ),
    )
    .map(([given, servers]) => [
      `-A ${name} ${given}`,
      ...servers.map(
        ([address, at, method, weight, how]) =>
          `-a ${name} -r ${endpointOf(address, at)} ${method} -w ${weight}${method === '-i' ? how : ''}`,
      ),
    ]),
);

test('rules printed by -S are re-created by -R', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(block, { maxLength: 6 }), async (blocks) => {
      const first = new Administered();
      await first.run('-R', blocks.flat().join('\n'));
      const saved = await first.run('-S -n');
      const second = new Administered();
      expect(await second.run('-R', saved.stdout)).toEqual({ status: 0, stdout: '', stderr: '' });
      expect((await second.run('-S -n')).stdout).toBe(saved.stdout);
      expect(saved.stdout.split('\n-A ').length).toBeLessThanOrEqual(blocks.length || 1);
    }),
  );
});

test('rules saved with names are the same rules', async () => {
  const first = new Administered();
  await first.run('-A -t 192.0.2.10:80 -s rr');
  await first.run('-a -t 192.0.2.10:80 -r 192.0.2.10:8080 -m');
  const { stdout } = await first.run('-S');
  expect(stdout).toContain('-t vip.example:http -s rr');
  const second = new Administered();
  await second.run('-R', stdout);
  expect(await second.run('-Sn')).toEqual(await first.run('-Sn'));
});

test('commands are carried out before more input is awaited', async () => {
  const done: Command[] = [];
  const api = directorApi();
  const at = new Administered({
    ...api,
    apply: async (commands) => {
      done.push(...commands);
      return await api.apply(commands);
    },
  });
  const doneAt: number[] = [];
  await at.run('-R', async function* () {
    yield '-A -t 192.0.2.10:80\n-A -t 192.0.2.10:81\n-A -t 192.0.';
    doneAt.push(done.length);
    yield '2.10:82\n';
    doneAt.push(done.length);
  });
  expect(doneAt).toEqual([2, 3]);
});

test('refusals in a batch are reported in order, between the output of other lines', async () => {
  const at = new Administered();
  const { status, stderr, stdout } = await at.run(
    '-R',
    [
      '-A -t 192.0.2.10:80',
      '-A -t 192.0.2.10:80',
      '-Ln',
      '-A -t 192.0.2.10:80 -Q',
      '-D -t 192.0.2.11:80',
    ].join('\n'),
  );
  expect(stderr).toBe('Service already exists\n-Q: unknown option\nNo such service\n');
  expect(stdout).toContain('TCP  192.0.2.10:80 wlc\n');
  expect(status).toBe(255);
});

test('ten thousand lines are ten thousand commands', async () => {
  const at = new Administered();
  const lines = Array.from({ length: 10_000 }, (_, i) => `-A -t 10.${i >> 8}.${i & 255}.1:80 -s rr`);
  expect(await at.run('-R', lines.join('\n'))).toEqual({ status: 0, stdout: '', stderr: '' });
  expect((await at.api.snapshot({ services: true })).services).toHaveLength(10_000);
});

test('the help text names every scheduler', async () => {
  const { stdout } = await new Administered().run('-h');
  const { schedulers } = await import('../../src/schedulers/index.ts');
  for (const name of Object.keys(schedulers)) expect(stdout).toMatch(new RegExp(`\\b${name}\\b`));
});
