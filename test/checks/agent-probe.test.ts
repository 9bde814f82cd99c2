import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAgentReport } from '../../src/checks/agent-probe.ts';

test.each([
  ['75%', { percent: 75 }],
  ['up', { health: 'up' }],
  ['up 50%\r', { health: 'up', percent: 50 }],
  ['ready,up,100%', { admin: 'ready', health: 'up', percent: 100 }],
  ['drain', { admin: 'drain' }],
  ['MAINT', { admin: 'drain' }],
  ['down # no database', { health: 'down' }],
  ['stopped', { health: 'down' }],
  ['300%', { percent: 100 }],
  ['maxconn:30 up', { health: 'up' }],
  ['maxconn:30', {}],
  ['hello world', undefined],
  ['', undefined],
  ['-5%', undefined],
])('parses %j', (line, words) => expect(parseAgentReport(line)).toEqual(words));

test('any agent reply yields a percentage from 0 to 100, if it yields one', () => {
  fc.assert(
    fc.property(fc.string(), (line) => {
      const percent = parseAgentReport(line)?.percent ?? 0;
      expect(percent >= 0 && percent <= 100).toBe(true);
    }),
  );
});
