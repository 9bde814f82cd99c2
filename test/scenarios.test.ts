/** Every scenario in test/scenarios is true of this director. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Scenario, scenariosIn } from './support/scenario-file.ts';
import { ScenarioPlayer } from './support/scenario-player.ts';

const scenarios = scenariosIn(join(import.meta.dirname, 'scenarios'));

/** What a scenario says and is not so, up to the first; `FILE:LINE: how`. */
async function wrongIn({ file, statements }: Scenario): Promise<string> {
  const player = new ScenarioPlayer();
  for (const statement of statements) {
    const wrong = await player.check(statement);
    if (wrong !== undefined) return `test/scenarios/${file}:${wrong}`;
  }
  return '';
}

test.each(scenarios)('$where $title', async (scenario) => expect(await wrongIn(scenario)).toBe(''));
