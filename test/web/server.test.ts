import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { LvsError } from '../../src/model/errors.ts';
import { summaryDocument } from '../../src/web/api.ts';
import { acceptedEncoding } from '../../src/web/compression.ts';
import type { PageUpdate } from '../../src/web/page-versions.ts';
import { MAX_CLIENTS } from '../../src/web/server.ts';
import { CLUSTER } from '../support/cluster-status.ts';
import { MARK, ObservedDirector, surroundings, WEB } from '../support/observed.ts';
import { Served } from '../support/served.ts';
import { Site } from '../support/site.ts';

test.each([
  ['/', 'text/html'],
  ['/?again', 'text/html'],
  ['/page.css', 'text/css'],
  ['/page.js', 'text/javascript'],
  ['/metrics', 'text/plain'],
  ['/api/v1/snapshot', 'application/json'],
  ['/api/v1/schema', 'application/json'],
  ['/healthz', 'text/plain'],
])('the server answers GET and HEAD %s', async (path, type) => {
  await using served = await Served.open();
  const got = await served.get(path);
  expect(got.status).toBe(200);
  expect(got.headers.get('content-type')).toContain(type);
  expect(got.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(got.headers.get('x-content-type-options')).toBe('nosniff');
  expect((await got.text()).length).toBeGreaterThan(0);
  const head = await served.get(path, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test.each([
  ['POST', '/metrics', 405],
  ['DELETE', '/', 405],
  ['GET', '/nothing', 404],
  ['GET', '/../etc/passwd', 404],
  ['GET', '/__proto__', 404],
])('%s %s is answered with %d', async (method, path, status) => {
  await using served = await Served.open();
  expect((await served.get(path, { method })).status).toBe(status);
});

test('the snapshot matches its schema', async () => {
  const observed = new ObservedDirector();
  observed.serve(WEB, { '10.0.0.1': 1, '10.0.0.2': 0 }, { persistent: 300 }).serve(MARK);
  observed.checks.set('10.0.0.2', { type: 'tcp', state: 'down', since: 1, message: 'refused', weight: 1 });
  observed.events.add(new Date(0), 'info', 'ready', { services: 2, left: undefined });
  observed.around = {
    ...surroundings,
    offload: { upcalls: 3, forwarded: 1, admitted: 1, leftToDirector: { persistence: 4 } },
    cluster: CLUSTER,
  };
  await using served = await Served.open({}, observed);
  const schema = await (await served.get('/api/v1/schema')).json();
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema as object);
  const snapshot = (await (await served.get('/api/v1/snapshot')).json()) as Record<string, unknown>;
  expect(validate(snapshot), JSON.stringify(validate.errors)).toBe(true);
  expect(validate({ ...snapshot, more: 1 })).toBe(false);
  expect(snapshot).toMatchObject({ version: 1, ready: true, events: [{ id: 1, event: 'ready' }] });
});

describe('readiness is reported', () => {
  const readiness = async (observed: ObservedDirector, query = '') => {
    await using served = await Served.open({}, observed);
    const answer = await served.get(`/readyz${query}`);
    return `${answer.status} ${(await answer.text()).trim()}`;
  };
  test('with a destination that accepts connections', async () =>
    expect(await readiness(new ObservedDirector().serve(WEB, { '10.0.0.1': 1 }))).toBe('200 ready'));
  test('without a service', async () =>
    expect(await readiness(new ObservedDirector())).toBe('503 no service exists'));
  test('with all destinations quiesced', async () =>
    expect(await readiness(new ObservedDirector().serve(WEB, { '10.0.0.1': 0 }))).toMatch(
      /^503 no destination/,
    ));
  test('without a datapath', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
    observed.around = { ...surroundings, running: false };
    expect(await readiness(observed)).toBe('503 the datapath is not running');
    expect(await readiness(observed, '?service=tcp:192.0.2.1:80')).toBe('503 the datapath is not running');
  });
  test('of one service, by its name', async () => {
    const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 }).serve(MARK, { '10.0.0.1': 0 });
    expect(await readiness(observed, '?service=tcp:192.0.2.1:80')).toBe('200 ready');
    expect(await readiness(observed, '?service=TCP%20192.0.2.1:80')).toBe('200 ready');
    expect(await readiness(observed, '?service=mark:26')).toBe('503 no destination accepts new connections');
    expect(await readiness(observed, '?service=tcp:192.0.2.1:81')).toMatch(/^404 service not found/);
    expect(await readiness(observed, '?service=')).toMatch(/^404 service not found/);
    expect(await readiness(observed, '?other=1')).toBe('200 ready');
  });
});

test('metrics are current, and simultaneous requests share one result', async () => {
  const observed = new ObservedDirector();
  let asked = 0;
  const snapshot = observed.snapshot.bind(observed);
  observed.snapshot = () => {
    asked++;
    return snapshot();
  };
  await using served = await Served.open({}, observed);
  const texts = await Promise.all(Array.from({ length: 20 }, () => served.text('/metrics')));
  expect(new Set(texts).size).toBe(1);
  expect(asked).toBeLessThan(20);
});

test('an answer that cannot be produced is a server error, and logged', async () => {
  const observed = new ObservedDirector();
  await using served = await Served.open({}, observed);
  observed.snapshot = () => {
    throw new Error('broken');
  };
  expect((await served.get('/metrics')).status).toBe(500);
  expect(served.failures).toEqual([new Error('broken')]);
});

test('an address in use is an LvsError', async () => {
  await using served = await Served.open();
  await expect(Served.open({ port: served.port })).rejects.toThrow(LvsError);
});

/** Reads a stream until it has that many events. */
async function eventsOf(answer: Response, count: number): Promise<string[]> {
  const events: string[] = [];
  let text = '';
  const decoder = new TextDecoder();
  for await (const octets of answer.body!) {
    text += decoder.decode(octets, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    events.push(...blocks);
    if (events.length >= count) break;
  }
  return events;
}

describe('the event stream', () => {
  test('starts with a summary and past events, and continues', async () => {
    const observed = new ObservedDirector().serve(WEB);
    observed.events.add(new Date(0), 'info', 'ready', {});
    await using served = await Served.open({}, observed);
    const answer = await served.get('/api/v1/events');
    const reading = eventsOf(answer, 4);
    observed.events.add(new Date(0), 'warning', 'check-down', { cause: 'line\nend' });
    const [retry, summary, ready, down] = await reading;
    expect(retry).toMatch(/^retry: \d+$/);
    expect(summary).toMatch(/^event: summary\ndata: \{"version":1,.*"table":/);
    expect(ready).toMatch(/^id: 1\nevent: event\ndata: \{.*"ready"/);
    expect(down).toMatch(/^id: 2\nevent: event\ndata: .*line\\nend/);
  });

  test('matches its schema', async () => {
    const observed = new ObservedDirector().serve(WEB);
    observed.events.add(new Date(0), 'info', 'ready', { services: 1 });
    await using served = await Served.open({}, observed);
    const schema = (await (await served.get('/api/v1/schema')).json()) as object;
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true }).addSchema(schema, 'lvs');
    const events = await eventsOf(await served.get('/api/v1/events'), 3);
    for (const name of ['summary', 'event']) {
      const [, data] = new RegExp(`^event: ${name}\ndata: (.*)$`, 'm').exec(events.join('\n\n'))!;
      const validate = ajv.getSchema(`lvs#/$defs/${name}`)!;
      expect(validate(JSON.parse(data!)), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  test('sends a returning client the events that it missed', async () => {
    const observed = new ObservedDirector();
    for (const event of ['one', 'two', 'three']) observed.events.add(new Date(0), 'info', event, {});
    await using served = await Served.open({}, observed);
    const answer = await served.get('/api/v1/events', { headers: { 'last-event-id': '2' } });
    const events = await eventsOf(answer, 3);
    expect(events.at(-1)).toContain('"three"');
    expect(events.join('\n')).not.toContain('"two"');
  });

  test('refuses one client too many with an error', async () => {
    await using served = await Served.open();
    const answers = await Promise.all(Array.from({ length: 33 }, () => served.get('/api/v1/events')));
    expect(answers.map(({ status }) => status).filter((status) => status === 503)).toHaveLength(1);
  });
});

describe('the server handles hostile clients:', () => {
  const GET = 'GET /healthz HTTP/1.1\r\nhost: x\r\n';

  test('one that sends nothing, and one that never ends its header, are cut off', async () => {
    await using served = await Served.open({ requestLimit: 200 });
    const silent = served.raw();
    const endless = served.raw(GET);
    const dripping = setInterval(() => endless.socket.write('x: y\r\n'), 20);
    await Promise.all([silent.received, endless.received]);
    clearInterval(dripping);
    expect(await served.text('/healthz')).toBe('alive\n');
  });

  test('one that does not read its answer is cut off', async () => {
    const observed = new ObservedDirector();
    const destinations = Object.fromEntries(
      Array.from({ length: 2000 }, (_, i) => [`10.0.${i >> 8}.${i & 255}`, 1]),
    );
    observed.serve(WEB, destinations);
    await using served = await Served.open({ answerLimit: 200 }, observed);
    const { socket } = served.raw();
    socket.pause();
    for (let i = 0; i < 50; i++) socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
    await served.firstClientGone();
    expect(await served.text('/healthz')).toBe('alive\n');
    socket.destroy();
  });

  test.each([
    ['a header that is too long', `${GET}x: ${'y'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    ['no HTTP at all', '\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n', /^HTTP\/1.1 400 /],
    ['a body', `${GET}content-length: 100000000\r\n\r\n${'x'.repeat(10_000)}`, /^HTTP\/1.1 400 /],
    ['a body in pieces', `${GET}transfer-encoding: chunked\r\n\r\nffffff\r\n`, /^HTTP\/1.1 400 /],
    ['two lengths', `${GET}content-length: 1\r\ncontent-length: 2\r\n\r\n`, /^HTTP\/1.1 400 /],
    ['another method', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n', /^(HTTP\/1.1 405 |$)/],
    ['an upgrade', `${GET}connection: upgrade\r\nupgrade: websocket\r\n\r\n`, /^HTTP\/1.1 200 /],
  ])('%s', async (_what, request, answer) => {
    await using served = await Served.open({ requestLimit: 500 });
    const { received } = served.raw(request);
    expect(await received).toMatch(answer);
    expect(await served.text('/healthz')).toBe('alive\n');
  });

  test(`at most ${MAX_CLIENTS} are connected at once; when they disconnect, others are accepted`, async () => {
    await using served = await Served.open({ requestLimit: 2000 });
    const clients = Array.from({ length: MAX_CLIENTS + 20 }, () => served.raw());
    const first = Promise.race(clients.map(({ received }) => received));
    await first;
    await Promise.all(clients.map(({ received }) => received));
    expect(await served.text('/healthz')).toBe('alive\n');
  });

  test.each(['http://x:9112/healthz', 'HTTP://[::1]/healthz?a=http://y/'])(
    'a whole URL is accepted: %s',
    async (url) => {
      await using served = await Served.open({ requestLimit: 500 });
      const { received } = served.raw(`GET ${url} HTTP/1.1\r\nhost: x\r\n\r\n`);
      expect(await received).toMatch(/alive\n$/);
    },
  );

  test('pipelined requests on one connection are answered in order', async () => {
    await using served = await Served.open({ requestLimit: 500 });
    const { received } = served.raw(`${`${GET}\r\n`.repeat(100)}`);
    expect((await received).match(/alive\n/g)).toHaveLength(100);
  });
});

describe('the Host header', () => {
  test.each([
    ['127.0.0.1:9112', 200],
    ['[::1]', 200],
    ['localhost', 200],
    ['lb.example', 200],
    ['LB.example.:9112', 200],
    ['attacker.example', 421],
    ['127.0.0.1.attacker.example', 421],
  ] as const)('%s is answered with %i', async (host, status) => {
    await using served = await Served.open({ names: ['lb.example'] });
    const { received } = served.raw(`GET /metrics HTTP/1.0\r\nhost: ${host}\r\n\r\n`);
    expect(await received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  test('is not looked at by the probes of health and readiness', async () => {
    await using served = await Served.open();
    const { received } = served.raw('GET /healthz HTTP/1.0\r\nhost: attacker.example\r\n\r\n');
    expect(await received).toMatch(/^HTTP\/1\.1 200 /);
  });
});

test.each([
  [undefined, undefined],
  ['', undefined],
  ['identity', undefined],
  ['gzip', 'gzip'],
  ['gzip, deflate, br, zstd', 'br'],
  ['br;q=0.5, gzip', 'gzip'],
  ['br;q=0, gzip;q=0', undefined],
  ['*', 'br'],
  ['*;q=0, gzip', 'gzip'],
  ['GZIP;q=1.0', 'gzip'],
  ['gzip;q=x', undefined],
  [`${'a,'.repeat(1000)}gzip`, undefined],
])('a client that accepts %j gets %s', (header, encoding) => {
  expect(acceptedEncoding(header)).toBe(encoding);
});

test.each(['/', '/metrics', '/api/v1/snapshot', '/page.json'])(
  '%s has the same content with each encoding',
  async (path) => {
    await using served = await Served.open({}, new Site(5, 5));
    const plain = await served.get(path, { headers: { 'accept-encoding': 'identity' } });
    const text = await plain.text();
    expect([plain.headers.get('content-encoding'), plain.headers.get('vary')]).toEqual([
      null,
      'accept-encoding',
    ]);
    for (const encoding of ['gzip', 'br']) {
      const headers = { 'accept-encoding': encoding };
      const answer = await served.get(path, { headers });
      expect(answer.headers.get('content-encoding')).toBe(encoding);
      expect(Number(answer.headers.get('content-length'))).toBeLessThan(text.length / 3);
      expect(await answer.text()).toBe(text);
      const head = await served.get(path, { method: 'HEAD', headers });
      expect([head.headers.get('content-encoding'), await head.text()]).toEqual([encoding, '']);
    }
  },
);

test('a refresh of 40 services with 20 servers each, whose figures all change, has less than 60 kB', async () => {
  const site = new Site(40, 20);
  for (let i = 0; i < 60; i++) await site.tick();
  await using served = await Served.open({}, site);
  const token = /data-version="([^"]+)"/.exec(await served.text('/'))![1]!;
  await site.tick();
  const length = async (encoding: string) => {
    const answer = await served.get(`/page.json?since=${token}`, {
      headers: { 'accept-encoding': encoding },
    });
    return Number(answer.headers.get('content-length'));
  };
  const summary = JSON.stringify(summaryDocument(site)).length;
  expect((await length('gzip')) + summary).toBeLessThan(60_000);
  expect((await length('br')) + summary).toBeLessThan(60_000);
});

test('browsers with the same version share an update, and nothing is resent that has not changed', async () => {
  await using served = await Served.open({}, new Site(3, 3));
  const token = /data-version="([^"]+)"/.exec(await served.text('/'))![1]!;
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => served.text(`/page.json?since=${token}`)),
  );
  expect(new Set(answers).size).toBe(1);
  expect(JSON.parse(answers[0]!).parts).toEqual({});
  const all = JSON.parse(await served.text('/page.json?since=%00%ff&since=x')) as PageUpdate;
  expect(Object.keys(all.parts)).toEqual(all.order);
});
