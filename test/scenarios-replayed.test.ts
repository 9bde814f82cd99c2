/** The scenarios' packets as files: `lvs-director replay` makes of them, octet for octet, what the director made of them. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfiguration } from '../src/runtime/configuration/configuration.ts';
import { replay } from '../src/runtime/replay.ts';
import { readPcap } from '../src/wire/pcap-file.ts';
import { TemporaryFolder } from './support/director-apis.ts';
import { lineOf } from './support/packets.ts';
import { built, notBuilt } from './support/project.ts';
import { scenariosIn } from './support/scenario-file.ts';
import { SEED } from './support/scenario-player.ts';
import { recordingOf } from './support/scenario-recording.ts';

const scenarios = scenariosIn(join(import.meta.dirname, 'scenarios')).filter(({ statements }) =>
  statements.some(({ kind }) => kind === 'packets'),
);
/** One a file. */
const samples = [...new Map(scenarios.toReversed().map((each) => [each.file, each])).values()];

/** A packet so that a person can read what differs. */
const told = (octets: Uint8Array): string =>
  `${lineOf(octets, { detail: true })} ${Buffer.from(octets).toString('hex')}`;
const packetsIn = (file: Uint8Array): string[] => [...readPcap(file)].map(({ octets }) => told(octets));

test.each(scenarios)('$where $title', async (scenario) => {
  using folder = new TemporaryFolder();
  const recording = await recordingOf(scenario);
  const path = folder.file('lvs.yaml');
  writeFileSync(path, recording.config);
  const config = await loadConfiguration(path);
  const { file, packets } = replay(config, recording.received, SEED);
  expect(packetsIn(file)).toEqual(recording.sent.map(told));
  expect(packets).toBe(packetsIn(recording.received).length);
  expect(Buffer.compare(replay(config, recording.received, SEED).file, file)).toBe(0);
});

const why = notBuilt('src/cli/director');
test('the executable exists', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('replayed with the executable:', () => {
  test.each(samples)('$where $title', async (scenario) => {
    using folder = new TemporaryFolder();
    const recording = await recordingOf(scenario);
    writeFileSync(folder.file('lvs.yaml'), recording.config);
    writeFileSync(folder.file('received.pcap'), recording.received);
    const [node, ...script] = built('src/cli/director');
    const words = `replay --config lvs.yaml --in received.pcap --out sent.pcap --seed ${SEED}`.split(' ');
    const { status, stderr } = spawnSync(node!, [...script, ...words], {
      cwd: folder.path,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(packetsIn(readFileSync(folder.file('sent.pcap')))).toEqual(recording.sent.map(told));
  });
});
