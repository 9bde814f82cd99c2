import { expect, test } from 'vitest';
import { ruleOf } from '../../src/ipvsadm/matrix.ts';
import { COMMANDS, OPTIONS } from '../../src/ipvsadm/options.ts';

test('the table covers every option and command', () => {
  const rules = OPTIONS.flatMap((option) => COMMANDS.map((command) => ruleOf(option, command)));
  expect(rules).toHaveLength(34 * 14);
  expect([...new Set(rules)].sort()).toEqual(['+', '.', '1', 'x']);
});

/** From the manual page of ipvsadm 1.31, its synopsis and its parameters. */
test.each([
  ['add-service', ['scheduler', 'persistent', 'netmask', 'ops', 'pe', 'sched-flags']],
  ['delete-service', []],
  ['flush', []],
  ['restore', []],
  ['save', ['numeric']],
  ['delete-server', []],
  ['set', []],
  ['stop-daemon', ['syncid']],
] as const)('the command accepts options: %s', (command, options) => {
  const free = OPTIONS.filter((option) => ['.', '1'].includes(ruleOf(option, command)));
  expect(free.sort()).toEqual([...options].sort());
});

test.each(COMMANDS)('the command requires options: %s', (command) => {
  const needed = OPTIONS.filter((option) => ruleOf(option, command) === '+');
  const service = /^(add|edit|delete)-/.test(command) ? ['service-address'] : [];
  const server = command.endsWith('-server') ? ['real-server'] : [];
  expect(needed).toEqual([...service, ...server]);
});
