import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerTo } from '../../src/control/session.ts';
import { directorApi } from '../support/director-apis.ts';

async function answers(line: string, api = directorApi()): Promise<unknown[]> {
  const said: unknown[] = [];
  for await (const text of answerTo(line, api, () => {})) said.push(JSON.parse(text));
  return said;
}

/** A command with unknown fields. */
const command = fc.record(
  {
    op: fc.constantFrom(
      'add-service',
      'add-destination',
      'zero',
      'set',
      'set-marks',
      'start-daemon',
      'flush',
    ),
    service: fc.oneof(fc.jsonValue(), fc.constant({ mark: 1, family: 4 })),
    destination: fc.jsonValue(),
    options: fc.oneof(fc.jsonValue(), fc.constant({ scheduler: 'rr' })),
    value: fc.jsonValue(),
    rules: fc.jsonValue(),
    daemon: fc.jsonValue(),
  },
  { requiredKeys: ['op'] },
);

const line = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .array(command, { maxLength: 3 })
    .map((commands) => JSON.stringify({ version: 1, ask: 'apply', commands })),
);

test('any request gets a complete answer, and none is caused by an internal error', async () => {
  await fc.assert(
    fc.asyncProperty(line, async (asked) => {
      const said = await answers(asked);
      const last = said.at(-1);
      expect([Object.keys(last as object)]).toContainEqual('end' in (last as object) ? ['end'] : ['error']);
      expect(JSON.stringify(last)).not.toContain('failed to answer');
    }),
  );
});

test('the last line of an answer is marked as the last', async () => {
  expect(await answers('{"version":1,"ask":"connections"}')).toEqual([{ end: true }]);
  expect(await answers('{"version":1,"ask":"apply","commands":[{"op":"flush"}]}')).toEqual([
    { outcomes: [null] },
    { end: true },
  ]);
});

test('a director that cannot be stopped this way reports it', async () => {
  expect(await answers('{"version":1,"ask":"stop"}')).toEqual([
    { error: { code: 'UNAVAILABLE', message: 'stop: not available on this director' } },
  ]);
});

test.each(['{}', '{"toString":1}', JSON.stringify('x'.repeat(5000)), '"1\\nready"'])(
  'a version of %.20s is refused in a line that does not repeat it',
  async (version) => {
    expect(await answers(`{"version":${version},"ask":"reload"}`)).toEqual([
      {
        error: {
          code: 'PROTOCOL',
          message:
            "protocol version (missing): not supported: expected 1 (use a client of the director's release)",
        },
      },
    ]);
  },
);
