import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { socketGroup } from '../../src/cli/arguments.ts';

test.each([
  ['root', 0],
  ['0', 0],
  ['4294967294', 4_294_967_294],
])('group %s is number %d', (text, want) => expect(socketGroup(text)).toBe(want));

test.each(['no-such-group-here', '', '--help', '4294967295', '-1', '1.5'])('%s is not a group', (text) =>
  expect(() => socketGroup(text)).toThrow(InvalidArgumentError),
);
