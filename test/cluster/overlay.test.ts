import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { overlayOf, overlayText } from '../../src/cluster/overlay.ts';
import { isCommand } from '../../src/control/command-shape.ts';
import type { Command } from '../../src/model/command.ts';

const service = { protocol: 'tcp', address: '192.0.2.1', port: 80 } as const;
const commands: Command[] = [{ op: 'delete-service', service }];
const read = (text: string) => overlayOf(Buffer.from(text), isCommand);
const packed = (value: string) => deflateRawSync(value).toString('base64');

test('an overlay is read back', async () => {
  const overlay = { id: 'x', generation: 3, commands };
  expect(await read(await overlayText(overlay))).toEqual(overlay);
  const many = { ...overlay, commands: Array.from({ length: 1001 }, () => commands[0]!) };
  expect(await read(await overlayText(many))).toEqual(many);
  const none = { ...overlay, commands: [] };
  expect(await read(await overlayText(none))).toEqual(none);
});

test('garbage, unknown commands and what expands beyond the limit are no overlays', async () => {
  const withCommands = (text: string) => read(JSON.stringify({ id: 'x', generation: 3, commands: text }));
  expect(await withCommands('')).toBeUndefined();
  expect(await withCommands(packed('[{"op":"reboot"}]'))).toBeUndefined();
  expect(await withCommands(packed('{}'))).toBeUndefined();
  expect(await withCommands(packed(`[${' '.repeat(20 << 20)}]`))).toBeUndefined();
  expect(await withCommands(packed('[]'))).toEqual({ id: 'x', generation: 3, commands: [] });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
      expect(await read(text)).toBeUndefined();
    }),
  );
});
