import { execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { MarkedProcesses } from '../../src/checks/marked-processes.ts';
import type { Observation } from '../../src/checks/probe.ts';
import { probes } from '../../src/checks/probes.ts';
import type { Check } from '../../src/model/check.ts';
import { PROJECT } from '../support/project.ts';

/** Time that counts as a missed timeout, ms: no test takes nearly as long otherwise. */
const SHORT = 60;
/** ms after which a probe that gets an answer is given up. */
const PATIENCE = 60_000;
const ports: Record<string, number> = {};
const closers: (() => void)[] = [];
const hosts: string[] = [];
/** Names that TLS clients requested; false: none. */
const names: (string | false | null)[] = [];
/** A key, and a certificate for www.example.org and shop.example.org that it signed itself. */
const TLS = join(PROJECT, 'test/fixtures/tls');
/** Where paths redirect to. */
const MOVED: Readonly<Record<string, string>> = {
  '/moved': '/',
  '/far': 'http://www.example.org:8000/moved?a#b',
  '/loop': '/loop',
  '/secure': 'https://shop.example.org:PORT/',
  '/mail': 'mailto:a@b',
};

/** Lines that mail servers received. */
const helos: string[] = [];

/**
 * Answers a query (RFC 1035 section 4.1): the label `rcode-N` has that response code, `quiet` has no response, `many`
 * has the addresses 10.0.0.1 and 10.0.0.12; other names have no records.
 */
function dnsResponse(query: Buffer): Buffer | undefined {
  const name = query.toString('latin1', 13, query.indexOf(0, 12));
  if (name.startsWith('quiet')) return undefined;
  const end = query.indexOf(0, 12) + 5;
  const addresses = name.startsWith('many') ? [1, 12] : [];
  const response = Buffer.concat([
    query.subarray(0, end),
    // The name is that at offset 12; type A, class IN, 60 s, four bytes.
    ...addresses.map((last) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, last])),
  ]);
  response.writeUInt16BE(0x8180 | Number(/^rcode-(\d)/.exec(name)?.[1] ?? 0), 2);
  response.writeUInt16BE(addresses.length, 6);
  response.writeUInt32BE(0, 8);
  return response;
}

async function look(type: Check['type'], port: number, partial: Partial<Check> = {}): Promise<Observation> {
  const check: Check = {
    type,
    interval: 1,
    timeout: 1,
    fall: 1,
    rise: 1,
    maxStep: 20,
    slowStart: 0,
    ...partial,
  };
  const target = { address: '127.0.0.1', port, virtual: '192.0.2.1', check };
  return probes[type](target, AbortSignal.timeout(partial.timeout === undefined ? PATIENCE : SHORT));
}

const listenTcp = async (name: string, answer: string | undefined) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (answer !== undefined) socket.end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ports[name] = (server.address() as AddressInfo).port;
  closers.push(() => server.close());
};

beforeAll(async () => {
  await listenTcp('silent', undefined);
  await listenTcp('agent', 'up 75%\n');
  await listenTcp('agent without an end of line', 'drain');
  await listenTcp('gone at once', '');
  await listenTcp('no agent', 'SSH-2.0-OpenSSH_9.2\r\n');
  await listenTcp('endless', 'x'.repeat(5000));
  await listenTcp(
    'switching',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
  );
  // tcpmux (RFC 1078), which no host has. A port that was closed just now may be the next listener's.
  ports['refused'] = 1;
  const pages: RequestListener = (request, response) => {
    const { url = '' } = request;
    hosts.push(request.headers.host ?? '');
    const to = MOVED[url.split('?')[0]!]?.replace('PORT', String(ports['https']));
    if (to !== undefined) response.writeHead(302, { location: to });
    if (url === '/broken') response.statusCode = 500;
    const size = { '/big': 400_000, '/huge': 17_000_000 }[url];
    response.end(size === undefined ? 'all is well' : 'x'.repeat(size));
  };
  const http = createHttpServer(pages);
  const key = readFileSync(join(TLS, 'key.pem'));
  const cert = readFileSync(join(TLS, 'certificate.pem'));
  const https = createHttpsServer({ key, cert }, pages);
  https.on('secureConnection', ({ servername }) => names.push(servername));
  for (const [name, server] of Object.entries({ http, https })) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports[name] = (server.address() as AddressInfo).port;
    closers.push(() => server.close());
  }
  for (const [name, greeting, answer] of [
    ['mail', '220 mail ESMTP', '250 mail'],
    ['mail without EHLO', '220 mail', '502 unknown'],
    ['full', '554 no service', '221 bye'],
  ] as const) {
    const server = createServer((socket) => {
      socket.on('error', () => {}).write(`${greeting}\r\n`);
      socket.setEncoding('latin1').on('data', (line: string) => {
        helos.push(line.trim());
        socket.write(
          `${line.startsWith('HELO') ? '250 mail' : line.startsWith('QUIT') ? '221 bye' : answer}\r\n`,
        );
        if (line.startsWith('QUIT')) socket.end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports[name] = (server.address() as AddressInfo).port;
    closers.push(() => server.close());
  }
  const dns = createSocket('udp4');
  dns.on('message', (query, from) => {
    const response = dnsResponse(query);
    if (response) dns.send(response, from.port, from.address);
  });
  dns.bind(0, '127.0.0.1');
  await once(dns, 'listening');
  ports['dns'] = dns.address().port;
  closers.push(() => dns.close());
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => {
    if (message.toString() !== 'quiet') udp.send(`pong ${message}`, from.port, from.address);
  });
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  ports['udp'] = udp.address().port;
  closers.push(() => udp.close());
});
afterAll(() => {
  for (const close of closers) close();
});

describe.each<[Check['type'], [string, Partial<Check>, boolean, string | RegExp][]]>([
  [
    'tcp',
    [
      ['silent', {}, true, 'connected'],
      ['refused', {}, false, 'connection refused'],
    ],
  ],
  [
    'http',
    [
      ['http', {}, true, 'status 200'],
      ['http', { path: '/moved' }, true, 'status 302'],
      ['http', { path: '/moved', status: [[200, 299]] }, false, 'status 302, not 200-299'],
      ['http', { path: '/moved', status: [[200, 299]], redirects: 1 }, true, 'status 200'],
      ['http', { path: '/far', redirects: 2 }, true, 'status 200'],
      ['http', { path: '/far', redirects: 1 }, false, 'more than 1 redirects'],
      ['http', { path: '/loop', redirects: 10 }, false, 'more than 10 redirects'],
      [
        'http',
        { path: '/mail', redirects: 1 },
        false,
        'redirect to mailto:a@b: expected an http or https URL',
      ],
      [
        'http',
        { path: '/secure', redirects: 1, verify: false, expect: 'well' },
        true,
        'status 200, as expected',
      ],
      ['http', { path: '/broken' }, false, 'status 500'],
      [
        'http',
        {
          path: '/broken',
          status: [
            [200, 200],
            [500, 503],
          ],
        },
        true,
        'status 500',
      ],
      ['http', { expect: 'is well' }, true, 'status 200, as expected'],
      ['http', { expect: 'is ill' }, false, "status 200, but the body does not contain 'is ill'"],
      ['http', { path: '/big', expect: 'y' }, false, "status 200, but the body does not contain 'y'"],
      ['http', { match: '^all (is|are) well$' }, true, 'status 200, as expected'],
      ['http', { match: '(?i)ALL IS' }, true, 'status 200, as expected'],
      ['http', { match: '^is well' }, false, "status 200, but the body does not match '^is well'"],
      ['http', { path: '/big', match: '(x+x+)+y' }, false, 'the regular expression took more than 2000 ms'],
      ['http', { match: 'well' }, true, 'status 200, as expected'],
      ['http', { digest: '4409bb950a3826c313c34b46b429ac84' }, true, 'status 200, as expected'],
      ['http', { digest: '4409bb950a3826c313c34b46b429ac84', match: 'ill' }, false, /does not match/],
      ['http', { path: '/big', digest: '60427332685a0c655f74780b32167cd9' }, true, 'status 200, as expected'],
      [
        'http',
        { path: '/broken', status: [[500, 500]], digest: '60427332685a0c655f74780b32167cd9' },
        false,
        'status 500, but the MD5 of the body is 4409bb950a3826c313c34b46b429ac84, not 60427332685a0c655f74780b32167cd9',
      ],
      [
        'http',
        { path: '/huge', digest: '60427332685a0c655f74780b32167cd9' },
        false,
        'status 200, but the body has more than 16777216 bytes',
      ],
      ['silent', { timeout: 1 }, false, 'no answer in 1 s'],
      ['refused', {}, false, 'connection refused'],
      ['no agent', {}, false, /Parse Error/],
      ['switching', { status: [[200, 200]] }, false, 'status 101, not 200'],
      ['switching', { status: [[101, 101]] }, true, 'status 101'],
    ],
  ],
  [
    'https',
    [
      ['https', { verify: false }, true, 'status 200'],
      ['https', { verify: false, match: '^all' }, true, 'status 200, as expected'],
      ['https', { verify: false, path: '/moved', redirects: 1, status: [[200, 299]] }, true, 'status 200'],
      ['https', {}, false, 'self-signed certificate'],
      ['http', {}, false, /^TLS: [a-z ]+$/],
      ['silent', { timeout: 1 }, false, 'no answer in 1 s'],
      ['refused', {}, false, 'connection refused'],
    ],
  ],
  [
    'dns',
    [
      ['dns', {}, true, 'answered with 0 records'],
      ['dns', { query: 'many.example', record: 'A' }, true, 'answered with 2 records'],
      ['dns', { query: 'many.example', record: 'A', expect: '.12' }, true, 'answered with 2 records'],
      [
        'dns',
        { query: 'many.example', record: 'A', match: '^10\\.0\\.0\\.1$' },
        true,
        'answered with 2 records',
      ],
      [
        'dns',
        { query: 'many.example', record: 'A', match: '^10\\.0\\.0\\.2$' },
        false,
        "answered with 2 records, but none matches '^10\\.0\\.0\\.2$'",
      ],
      ['dns', { expect: 'x' }, false, "answered with 0 records, but none contains 'x'"],
      ['dns', { query: 'rcode-2' }, false, 'SERVFAIL'],
      ['dns', { query: 'rcode-3.example' }, false, 'NXDOMAIN'],
      ['dns', { query: 'rcode-5.example', record: 'AAAA' }, false, 'REFUSED'],
      ['dns', { query: 'quiet.example', timeout: 1 }, false, 'no answer in 1 s'],
      ['refused', {}, false, 'connection refused'],
    ],
  ],
  [
    'smtp',
    [
      ['mail', {}, true, 'greeted'],
      ['mail without EHLO', {}, true, 'greeted'],
      ['full', {}, false, 'refused: 554 no service'],
      ['no agent', {}, false, 'refused: SSH-2.0-OpenSSH_9.2'],
      ['gone at once', {}, false, /[Cc]onnection closed/],
      ['silent', { timeout: 1 }, false, 'no answer in 1 s'],
      ['refused', {}, false, 'connection refused'],
    ],
  ],
  ['ping', [['refused', {}, true, 'echo reply received']]],
  [
    'udp',
    [
      ['udp', { send: 'ping', expect: 'pong ping' }, true, 'answered'],
      ['udp', { send: 'ping', expect: 'other' }, false, "answered, but the answer does not contain 'other'"],
      ['udp', { send: 'quiet', expect: 'pong', timeout: 1 }, false, 'no answer in 1 s'],
      ['udp', { send: 'quiet', timeout: 1 }, true, 'no ICMP error received'],
      ['refused', { send: 'ping' }, false, 'connection refused'],
    ],
  ],
  [
    'command',
    [
      ['http', { command: ['sh', '-c', 'echo "$ADDRESS"; echo more'] }, true, '127.0.0.1'],
      ['http', { command: ['true'] }, true, 'status 0'],
      [
        'http',
        { command: ['echo', '$ADDRESS', 'to $PORT', '$PORTS'] },
        true,
        /^127\.0\.0\.1 to \d+ \$PORTS$/,
      ],
      ['http', { command: ['sh', '-c', 'echo no database >&2; exit 3'] }, false, 'status 3: no database'],
      ['http', { command: ['sh', '-c', 'exit 7'], dynamic: true }, true, 'weight 5'],
      ['http', { command: ['sh', '-c', 'exit 1'], dynamic: true }, false, 'status 1'],
      ['http', { command: ['/nonexistent'] }, false, 'program not found'],
      ['http', { command: ['sleep', '30'], timeout: 1 }, false, 'no answer in 1 s'],
      ['http', {}, false, 'no command is configured'],
    ],
  ],
  [
    'agent',
    [
      ['agent', {}, true, 'agent: up 75%'],
      ['agent without an end of line', {}, true, 'agent: drain'],
      ['no agent', {}, false, 'invalid agent response'],
      ['endless', {}, false, 'invalid agent response'],
      ['gone at once', {}, false, 'the agent sent no data'],
      ['silent', { timeout: 1 }, false, 'no answer in 1 s'],
      ['refused', {}, false, 'connection refused'],
    ],
  ],
])('%s', (type, rows) => {
  test.each(rows)('%s %o: %s, %s', async (server, partial, healthy, message) => {
    const found = await look(type, ports[server]!, partial);
    expect(found.healthy).toBe(healthy);
    expect(found.message).toMatch(message);
  });
});

test('a UDP destination that cannot be sent to is reported', async () => {
  const check: Check = {
    type: 'udp',
    interval: 1,
    timeout: 1,
    fall: 1,
    rise: 1,
    maxStep: 20,
    slowStart: 0,
  };
  // Broadcast: the kernel refuses it without SO_BROADCAST.
  const target = { address: '255.255.255.255', port: 9, virtual: '192.0.2.1', check };
  expect(await probes.udp(target, AbortSignal.timeout(PATIENCE))).toEqual({
    healthy: false,
    message: 'permission denied',
  });
});

test('an HTTP check requests the configured host, or the address of the service', async () => {
  hosts.length = 0;
  await look('http', ports['http']!, { host: 'www.example.org' });
  await look('http', ports['http']!);
  await look('http', ports['http']!, { host: '$ADDRESS:$PORT' });
  expect(hosts).toEqual(['www.example.org', '192.0.2.1', `127.0.0.1:${ports['http']}`]);
});

test('an HTTPS check requests the name of its host, its sni, or none for an address', async () => {
  names.length = 0;
  for (const partial of [
    { host: 'www.example.org:8443' },
    { host: 'a.b', sni: 'c.d' },
    {},
    { host: '$ADDRESS:1' },
  ])
    await look('https', ports['https']!, { verify: false, ...partial });
  expect(names).toEqual(['www.example.org', 'c.d', false, false]);
});

test('an SMTP check introduces itself, and quits', async () => {
  helos.length = 0;
  await look('smtp', ports['mail']!, { helo: 'director.example' });
  await vi.waitFor(() => expect(helos).toEqual(['EHLO director.example', 'QUIT']), PATIENCE);
});

test('an address that does not answer echoes is reported', async () => {
  const check = {
    type: 'ping',
    interval: 1,
    timeout: 1,
    fall: 1,
    rise: 1,
    maxStep: 20,
    slowStart: 0,
  } as const;
  // 240.0.0.0/4 is reserved: the kernel has no route.
  const target = { address: '240.0.0.1', port: 0, virtual: '192.0.2.1', check };
  const found = await probes.ping(target, AbortSignal.timeout(PATIENCE));
  expect(found.healthy).toBe(false);
  expect(found.message).toMatch(/no echo reply|unreachable|status 2/);
});

test('a redirect leads to the same server, with the host that it names', async () => {
  hosts.length = names.length = 0;
  await look('http', ports['http']!, { path: '/far', redirects: 2, host: 'a.b' });
  await look('http', ports['http']!, { path: '/secure', redirects: 1, host: 'a.b', verify: false });
  const shop = `shop.example.org:${ports['https']}`;
  expect(hosts).toEqual(['a.b', 'www.example.org:8000', 'www.example.org:8000', 'a.b', shop]);
  expect(names).toEqual(['shop.example.org']);
});

test('a certificate is valid for the names that it contains, and by an authority of the environment', async () => {
  // Node.js reads the authorities when it starts.
  const checks = ['www.example.org', 'other.example.org'].map((host) => ({
    type: 'https',
    timeout: 5,
    host,
  }));
  const script = `import { probes } from ${JSON.stringify(join(PROJECT, 'dist/src/checks/probes.js'))};
for (const check of ${JSON.stringify(checks)}) {
  const target = { address: '127.0.0.1', port: ${ports['https']}, virtual: '192.0.2.1', check };
  console.log((await probes.https(target, AbortSignal.timeout(${PATIENCE}))).message);
}`;
  const child = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env: { NODE_EXTRA_CA_CERTS: join(TLS, 'certificate.pem') },
  });
  expect(child.stdout).toMatch(/^status 200\nHostname\/IP does not match certificate's altnames: .*other/);
});

test('the words of an agent are passed on', async () => {
  expect((await look('agent', ports['agent']!)).agent).toEqual({ health: 'up', percent: 75 });
});

test('a command reports a weight, and runs as its user', async ({ skip }) => {
  const script = ['sh', '-c', 'id -u; id -g; exit 255'];
  expect((await look('command', 1, { command: script, dynamic: true })).agent).toEqual({ weight: 253 });
  const well = { command: ['true'], dynamic: true };
  expect((await look('command', 1, well)).agent).toEqual({ weight: 'configured' });
  expect((await look('command', 1, { command: ['true'] })).agent).toBeUndefined();
  skip(process.getuid?.() !== 0, 'another user requires root');
  const asUser = { command: ['sh', '-c', 'echo $(id -u):$(id -g)'], ids: { uid: 65534, gid: 4 } };
  expect((await look('command', 1, asUser)).message).toBe('65534:4');
});

/** Returns the pid that a command writes to the file. */
const pidIn = (file: string) =>
  vi.waitFor(() => {
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/\n$/);
    return Number(text);
  }, PATIENCE);

/** Waits until a process has exited, or is a zombie that its new parent has not reaped yet. */
const ended = (pid: number) =>
  vi.waitFor(() => {
    let state: string | undefined = 'gone';
    try {
      state = /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
    } catch {}
    expect(['Z', 'gone']).toContain(state);
  }, PATIENCE);

/** A check of that command, and the file that is its first argument. */
function commandCheck(script: string) {
  const folder = mkdtempSync(join(tmpdir(), 'lvs-probe-'));
  const file = join(folder, 'pid');
  const check: Check = {
    type: 'command',
    interval: 1,
    timeout: 1,
    fall: 1,
    rise: 1,
    maxStep: 20,
    slowStart: 0,
    command: ['sh', '-c', script, file],
  };
  const target = { address: '127.0.0.1', port: 1, virtual: '192.0.2.1', check };
  return { file, target, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test.each([
  ['', 'sleep 600 & echo $! > "$0"; wait'],
  [' in another session', 'setsid sh -c \'echo $$ > "$0"; exec sleep 600\' "$0" & wait'],
])('a command check that times out takes the processes that it started with it%s', async (_, script) => {
  using it = commandCheck(script);
  const ending = new AbortController();
  const looking = probes.command(it.target, ending.signal);
  const pid = await pidIn(it.file);
  ending.abort();
  expect(await looking).toEqual({ healthy: false, message: 'no answer in 1 s' });
  await ended(pid);
});

test('the end of this process takes what runs of its command checks have started, and nothing else', async () => {
  const marked = new MarkedProcesses('LVS_TEST_RUN');
  const start = (value: string) =>
    spawn('setsid', ['sleep', '600'], { env: { ...process.env, LVS_TEST_RUN: value }, stdio: 'ignore' });
  const [own, next, other] = ['7-1', '7-22', '77-1'].map(start);
  const signals = [own!, next!].map(async (child) => (await once(child, 'exit'))[1] as string);
  await Promise.all([own!, next!, other!].map((child) => once(child, 'spawn')));
  marked.endAll('7-');
  expect(await Promise.all(signals)).toEqual(['SIGKILL', 'SIGKILL']);
  expect(other!.exitCode ?? other!.signalCode).toBe(null);
  other!.kill('SIGKILL');
});

test.each([
  ['', 'sleep 600 & echo $! > "$0"; echo fine'],
  [' in another session', 'setsid -f sh -c \'echo $$ > "$0"; exec sleep 600\' "$0"; echo fine'],
  [
    ' in another session with other streams',
    'setsid -f sh -c \'echo $$ > "$0"; exec sleep 600 > /dev/null 2>&1\' "$0"; echo fine',
  ],
])('a command check that ends takes the processes that it started with it%s', async (_, script) => {
  using it = commandCheck(`${script}; until [ -s "$0" ]; do :; done`);
  expect(await probes.command(it.target, new AbortController().signal)).toEqual({
    healthy: true,
    message: 'fine',
  });
  await ended(await pidIn(it.file));
});
