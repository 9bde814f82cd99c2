import { fstatSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isJournalStream, withPriority } from '../../src/runtime/journal.ts';
import { createLog, type LogFormat, limitedLog } from '../../src/runtime/log.ts';

function written(format: LogFormat, ...event: Parameters<ReturnType<typeof createLog>>): string {
  let text = '';
  const write = (line: string) => {
    text += line;
  };
  createLog({ format, write, now: () => new Date(0) })(...event);
  return text;
}

test('text lines have time, level, event, then fields, and quote values that are not plain words', () => {
  expect(written('text', 'info', 'ready', { interfaces: 'eth0,eth1', services: 2, left: undefined })).toBe(
    '1970-01-01T00:00:00.000Z info ready interfaces=eth0,eth1 services=2\n',
  );
  expect(written('text', 'error', 'reload', { why: 'a line\nand "another"', what: '' })).toBe(
    '1970-01-01T00:00:00.000Z error reload why="a line\\nand \\"another\\"" what=""\n',
  );
});

test.each([
  ['text', 'a\u009b31m', '"a\\u009b31m"'],
  ['text', 'a\u001b[31m\u007f', '"a\\u001b[31m\\u007f"'],
  ['text', '\u202erevo\u2028', '"\\u202erevo\\u2028"'],
  ['text', '\u{e0041}ü', '"\\udb40\\udc41ü"'],
  ['json', 'a\u009b31m', '"a\\u009b31m"'],
] as const)('%s: characters that move the cursor or reverse text are escaped (%j)', (format, why, quoted) => {
  const line = written(format, 'info', 'x', { why });
  expect(line).toContain(quoted);
  expect(JSON.parse(/"[^"]*"(?=\}?\n)/.exec(line)![0])).toBe(why);
});

test('json has one object per line', () => {
  const line = written('json', 'warning', 'config', { what: 'two\nlines' });
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(JSON.parse(line)).toEqual({
    time: '1970-01-01T00:00:00.000Z',
    level: 'warning',
    event: 'config',
    what: 'two\nlines',
  });
});

test('levels below the minimum are omitted', () => {
  const lines: string[] = [];
  const log = createLog({ format: 'text', level: 'warning', write: (line) => lines.push(line) });
  for (const level of ['info', 'warning', 'error'] as const) log(level, 'x');
  expect(lines.map((line) => line.split(' ')[1])).toEqual(['warning', 'error']);
});

test('a rack that fails is logged server by server, with a limit', () => {
  const lines: Record<string, unknown>[] = [];
  const log = limitedLog(
    createLog({ format: 'json', write: (line) => lines.push(JSON.parse(line)) }),
    () => 0,
  );
  for (let i = 0; i < 5000; i++) log('warning', 'check-down', { destination: `10.0.0.1:${i}` });
  expect(lines).toHaveLength(1000);
});

test('a flood of one event is limited, reported later, and hides no other event', () => {
  const lines: Record<string, unknown>[] = [];
  let now = 0;
  const write = (line: string) => lines.push(JSON.parse(line));
  const log = limitedLog(createLog({ format: 'json', write }), () => now);
  for (let i = 0; i < 1000; i++) log('warning', 'control', { i });
  expect(lines).toHaveLength(50);
  log('info', 'ready');
  expect(lines.at(-1)).toMatchObject({ event: 'ready' });
  now = 10_000;
  log('warning', 'control', { i: 1000 });
  expect(lines.at(-1)).toMatchObject({ i: 1000, suppressed: 950 });
  log('warning', 'control', { i: 1001 });
  expect(lines.at(-1)).not.toHaveProperty('suppressed');
});

test.each([
  ['info', '<6>info x reason=y\n'],
  ['warning', '<4>warning x reason=y\n'],
  ['error', '<3>error x reason=y\n'],
] as const)('for the journal, level %s becomes a priority, and the time is omitted', (level, expected) => {
  let text = '';
  const write = (line: string) => {
    text += line;
  };
  createLog({ format: 'text', isJournal: true, write })(level, 'x', { reason: 'y' });
  expect(text).toBe(expected);
});

test('every line of a message for the journal has the priority', () =>
  expect(withPriority('error', 'one\ntwo')).toBe('<3>one\n<3>two'));

test('a descriptor is the journal if its device and inode are those of JOURNAL_STREAM', () => {
  const { dev, ino } = fstatSync(2);
  expect(isJournalStream({ JOURNAL_STREAM: `${dev}:${ino}` }, 2)).toBe(true);
  expect(isJournalStream({ JOURNAL_STREAM: `${dev}:${ino + 1}` }, 2)).toBe(false);
  expect(isJournalStream({}, 2)).toBe(false);
});
