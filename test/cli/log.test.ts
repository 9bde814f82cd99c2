import { expect, test } from 'vitest';
import { createLog, type LogFormat } from '../../src/cli/log.ts';

function written(format: LogFormat, ...event: Parameters<ReturnType<typeof createLog>>): string {
  let text = '';
  const log = createLog(
    format,
    (line) => (text += line),
    () => new Date(0),
  );
  log(...event);
  return text;
}

test('text: time, level, event, then fields; what is not one plain word is quoted', () => {
  expect(written('text', 'info', 'ready', { interfaces: 'eth0,eth1', services: 2, left: undefined })).toBe(
    '1970-01-01T00:00:00.000Z info ready interfaces=eth0,eth1 services=2\n',
  );
  expect(written('text', 'error', 'reload', { why: 'a line\nand "another"', what: '' })).toBe(
    '1970-01-01T00:00:00.000Z error reload why="a line\\nand \\"another\\"" what=""\n',
  );
});

test('json: one object a line', () => {
  const line = written('json', 'warning', 'config', { what: 'two\nlines' });
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(JSON.parse(line)).toEqual({
    time: '1970-01-01T00:00:00.000Z',
    level: 'warning',
    event: 'config',
    what: 'two\nlines',
  });
});
