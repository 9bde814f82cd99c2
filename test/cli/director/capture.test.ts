import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { capture } from '../../../src/cli/director/capture.ts';
import type { PacketApi } from '../../../src/control/director-api.ts';
import { PacketTap } from '../../../src/runtime/packet-capture.ts';
import { Directed, VIP } from '../../support/directed.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';

test('a capture of a service that does not exist is refused, and the file is left unchanged', async () => {
  using folder = new TemporaryFolder();
  const write = folder.file('old.pcapng');
  writeFileSync(write, 'of yesterday');
  const it = new Directed().serve(`tcp ${VIP}:80`, []);
  const tap = new PacketTap(it.director, it);
  const api: PacketApi = {
    explain: async (octets) => it.director.explain(octets, it.now),
    capture: (service) => tap.take(service),
  };
  const service = { protocol: 'tcp', address: VIP, port: 8080 } as const;
  const told: string[] = [];
  await expect(
    capture(api, {
      service,
      write,
      signal: new AbortController().signal,
      report: (line) => told.push(line),
    }),
  ).rejects.toThrow(`there is no service tcp ${VIP}:8080`);
  expect(told).toEqual([]);
  expect(readFileSync(write, 'utf8')).toBe('of yesterday');
});
