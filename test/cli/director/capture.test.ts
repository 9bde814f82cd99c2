import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { capture } from '../../../src/cli/director/capture.ts';
import type { PacketApi } from '../../../src/control/director-api.ts';
import { PacketCaptures } from '../../../src/runtime/packet-capture.ts';
import { VIP } from '../../support/directed.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';
import { RecordedDirector } from '../../support/recorded-director.ts';

test('a capture of a service that does not exist is refused, and the file is left unchanged', async () => {
  using folder = new TemporaryFolder();
  const write = folder.file('old.pcapng');
  writeFileSync(write, 'of yesterday');
  const it = new RecordedDirector().serve(`tcp ${VIP}:80`, []);
  const captures = new PacketCaptures(it.director, it.sender);
  const api: PacketApi = {
    explain: async (octets) => it.director.explain(octets, it.now),
    capture: (service) => captures.take(service),
  };
  const service = { protocol: 'tcp', address: VIP, port: 8080 } as const;
  const reports: string[] = [];
  await expect(
    capture(api, {
      service,
      write,
      signal: new AbortController().signal,
      report: (line) => reports.push(line),
    }),
  ).rejects.toThrow(`service tcp ${VIP}:8080 not found`);
  expect(reports).toEqual([]);
  expect(readFileSync(write, 'utf8')).toBe('of yesterday');
});
