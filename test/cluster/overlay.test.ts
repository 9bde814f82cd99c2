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

test('an overlay is read back', () => {
  const overlay = { id: 'x', generation: 3, commands };
  expect(read(overlayText(overlay))).toEqual(overlay);
});

test('garbage, unknown commands and what expands beyond the limit are no overlays', () => {
  const withCommands = (text: string) => read(JSON.stringify({ id: 'x', generation: 3, commands: text }));
  expect(withCommands('')).toBeUndefined();
  expect(withCommands(packed('[{"op":"reboot"}]'))).toBeUndefined();
  expect(withCommands(packed('{}'))).toBeUndefined();
  expect(withCommands(packed(`[${' '.repeat(20 << 20)}]`))).toBeUndefined();
  expect(withCommands(packed('[]'))).toEqual({ id: 'x', generation: 3, commands: [] });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(read(text)).toBeUndefined();
    }),
  );
});
