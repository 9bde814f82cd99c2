import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import type { DirectorApi, PacketApi } from '../../src/control/director-api.ts';
import { type ControlServer, serveControl } from '../../src/control/server.ts';
import { answerTo } from '../../src/control/session.ts';
import type { CapturedPackets } from '../../src/model/capture.ts';
import { LvsError } from '../../src/model/errors.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { Directed, VIP } from '../support/directed.ts';
import { directorApi, TemporaryFolder } from '../support/director-apis.ts';

const WEB = { protocol: 'tcp', address: VIP, port: 80 } as const;
const SYN = `203.0.113.1:4000 > ${VIP}:80 TCP SYN`;

/** Yields empty batches without end; counts its clients. */
class Lots {
  takers = 0;
  async *capture(): AsyncGenerator<CapturedPackets> {
    this.takers++;
    try {
      for (let missed = 0; ; missed++) {
        yield { packets: [], missed };
        await nextTurn();
      }
    } finally {
      this.takers--;
    }
  }
}

const lots = new Lots();
const packets: PacketApi = {
  explain: async (octets) => {
    const it = new Directed().serve(`tcp ${VIP}:80`, ['10.0.0.1:80']);
    return it.director.explain(octets, 0);
  },
  capture: () => lots.capture(),
};

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]();
});
async function served(api: DirectorApi): Promise<{ path: string; server: ControlServer }> {
  const folder = new TemporaryFolder();
  const path = folder.file('socket');
  const server = await serveControl({ path, api });
  opened.push(server, { [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() });
  return { path, server };
}

test('the socket carries an explanation unchanged', async () => {
  const { path } = await served({ ...directorApi(), packets });
  using client = new ControlClient(path);
  const octets = packetOfLine(SYN);
  expect(await client.explain(octets)).toEqual(await packets.explain(octets));
});

test('batches arrive until the client has enough, then the connection and the capture end', async () => {
  const { path } = await served({ ...directorApi(), packets });
  using client = new ControlClient(path);
  const missed: number[] = [];
  for await (const lot of client.capture(WEB)) if (missed.push(lot.missed) === 3) break;
  expect(missed).toEqual([0, 1, 2]);
  await expect.poll(() => lots.takers).toBe(0);
});

test('a client that disconnects ends the capture', async () => {
  const { path } = await served({ ...directorApi(), packets });
  const socket = connect(path);
  socket.write(`${JSON.stringify({ version: 1, ask: 'capture', service: WEB })}\n`);
  await once(socket, 'data');
  expect(lots.takers).toBe(1);
  socket.destroy();
  await expect.poll(() => lots.takers).toBe(0);
});

test('a director without packet inspection reports that', async () => {
  const { path } = await served(directorApi());
  using client = new ControlClient(path);
  await expect(client.explain(packetOfLine(SYN))).rejects.toThrow(LvsError);
});

test('any request gets an answer', async () => {
  const request = fc.record(
    {
      version: fc.constant(1),
      ask: fc.constantFrom('explain', 'capture'),
      octets: fc.oneof(fc.jsonValue(), fc.base64String(), fc.string()),
      service: fc.jsonValue(),
    },
    { requiredKeys: ['version', 'ask'] },
  );
  await fc.assert(
    fc.asyncProperty(request, async (asked) => {
      const said: string[] = [];
      const api = { ...directorApi(), packets: { ...packets, async *capture() {} } };
      for await (const text of answerTo(JSON.stringify(asked), api, () => {})) said.push(text);
      expect(said.at(-1)).toMatch(/^\{"(end|error)":/);
    }),
  );
});
