import { expect, test } from 'vitest';
import { stepsWithRulesOver } from '../../../src/config/reload/rules-over.ts';
import type { Command } from '../../../src/model/command.ts';

const at = (port: number) => ({ protocol: 'tcp', address: '192.0.2.1', port }) as const;
const server = (last: number) => ({ address: `10.0.0.${last}`, port: 80 });
const add = (port: number, last: number, weight = 1): Command => ({
  ...{ op: 'add-destination', service: at(port), destination: server(last) },
  options: { method: 'dr', weight },
});
const edit = (port: number, last: number, weight: number): Command => ({
  ...{ op: 'edit-destination', service: at(port), destination: server(last) },
  options: { method: 'dr', weight },
});
const addService = (port: number, scheduler = 'rr'): Command => ({
  ...{ op: 'add-service', service: at(port), options: { scheduler } },
});

test('leaves out a destination and a service that the rules remove again', () => {
  const over: Command[] = [
    { op: 'delete-destination', service: at(1), destination: server(1) },
    { op: 'delete-service', service: at(2) },
  ];
  const steps = [add(1, 1), add(1, 2), addService(2), add(2, 1), addService(3), add(3, 1)];
  expect([...stepsWithRulesOver(steps, over)]).toEqual([add(1, 2), addService(3), add(3, 1)]);
});

test('adds and edits with the options that the rules set', () => {
  const over: Command[] = [edit(1, 1, 0), { ...addService(2, 'wrr'), op: 'edit-service' } as Command];
  expect([...stepsWithRulesOver([add(1, 1), edit(1, 1, 7), add(1, 2), addService(2)], over)]).toEqual([
    add(1, 1, 0),
    edit(1, 1, 0),
    add(1, 2),
    addService(2, 'wrr'),
  ]);
});

test('keeps the edit of a destination that the file removes', () => {
  const over: Command[] = [{ op: 'delete-destination', service: at(1), destination: server(1) }];
  expect([...stepsWithRulesOver([edit(1, 1, 0)], over)]).toEqual([edit(1, 1, 0)]);
});
