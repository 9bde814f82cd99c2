import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { apply, restore } from '../../src/realserver/agent.ts';
import type { Change } from '../../src/realserver/change.ts';
import type { Machine } from '../../src/realserver/machine.ts';
import { readState } from '../../src/realserver/state.ts';

let folder: string;
let stateFile: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-agent-'));
  stateFile = join(folder, 'state.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A kernel of settings only; `log` has every write. Writing `refused` fails. */
function kernel(settings: Record<string, string>, refused?: string) {
  const log: string[] = [];
  const machine: Machine = {
    run: async () => ({ status: 0, stdout: '', stderr: '' }),
    setting: async (path) => settings[path],
    async set(path, value) {
      if (path === refused) throw new Error(`${path} is refused`);
      log.push(`${path}=${value}`);
      settings[path] = value;
    },
  };
  return { machine, settings, log };
}
const change = (path: string, value = '1'): Change => ({ kind: 'sysctl', path, value });
const agent = (machine: Machine) => ({ machine, stateFile, say: () => {} });

describe('the journal', () => {
  test('applies changes in the order of the plan and undoes them in reverse', async () => {
    const { machine, log } = kernel({ a: '0', b: '0' });
    await apply([change('a'), change('b')], agent(machine));
    await restore(agent(machine));
    expect(log).toEqual(['a=1', 'b=1', 'b=0', 'a=0']);
    expect(readState(stateFile)).toEqual([]);
  });

  test('skips changes that are already in effect, and does not undo them', async () => {
    const { machine, log } = kernel({ a: '1' });
    await apply([change('a')], agent(machine));
    await restore(agent(machine));
    expect(log).toEqual([]);
  });

  test('keeps the original values through a second start', async () => {
    const { machine, settings } = kernel({ a: '7', b: '8' });
    await apply([change('a'), change('b')], agent(machine));
    // The first agent died here; one setting was restored manually.
    settings['b'] = '8';
    await apply([change('a'), change('b')], agent(machine));
    expect(settings).toEqual({ a: '1', b: '1' });
    await restore(agent(machine));
    expect(settings).toEqual({ a: '7', b: '8' });
  });

  test('undoes at a second start in another role the changes that the role does not need', async () => {
    const { machine, settings, log } = kernel({ a: '0', b: '0' });
    await apply([change('a')], agent(machine));
    await apply([change('b')], agent(machine));
    expect(log).toEqual(['a=1', 'a=0', 'b=1']);
    expect(settings).toEqual({ a: '0', b: '1' });
  });

  test('undoes in the order of the plan, whenever changes were applied', async () => {
    const { machine, settings, log } = kernel({ first: '1', second: '0' });
    const plan = [change('first'), change('second')];
    await apply(plan, agent(machine));
    settings['first'] = '0';
    await apply(plan, agent(machine));
    log.length = 0;
    await restore(agent(machine));
    expect(log).toEqual(['second=0', 'first=0']);
  });

  test('keeps what others changed since', async () => {
    const { machine, settings } = kernel({ a: '0' });
    await apply([change('a')], agent(machine));
    settings['a'] = '2';
    await restore(agent(machine));
    expect(settings).toEqual({ a: '2' });
  });

  test('undoes the earlier changes when one fails', async () => {
    const { machine, settings } = kernel({ a: '0', b: '0' }, 'b');
    await expect(apply([change('a'), change('b')], agent(machine))).rejects.toThrow('b is refused');
    expect(settings).toEqual({ a: '0', b: '0' });
    expect(readState(stateFile)).toEqual([]);
  });

  test('keeps a change that cannot be undone now, and undoes the rest', async () => {
    const settings = { a: '0', b: '0' };
    await apply([change('a'), change('b')], agent(kernel(settings).machine));
    await restore(agent(kernel(settings, 'b').machine));
    expect(settings).toEqual({ a: '0', b: '1' });
    expect(readState(stateFile).map((made) => made.change)).toEqual([change('b')]);
  });
});
