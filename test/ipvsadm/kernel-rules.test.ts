import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { linesOf } from '../../src/cli/director/compile.ts';
import { compile } from '../../src/config/compile.ts';
import { parseLvsConf } from '../../src/config/lvs-conf.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../src/director/director.ts';
import { runIpvsadm, type Surroundings } from '../../src/ipvsadm/run.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { schedulers } from '../../src/schedulers/index.ts';
import { labNames } from '../support/documents.ts';
import { PROJECT } from '../support/project.ts';

/** What ipvsadm 1.31 and Linux 6.1 made of the rules of an example in conf/: `ipvsadm -R`, then `ipvsadm -S -n`. */
interface Recorded {
  readonly file: string;
  readonly rules: readonly string[];
  readonly status: number;
  readonly stderr: string;
  readonly saved: readonly string[];
}
const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, 'kernel-rules.json'), 'utf8'),
) as readonly Recorded[];

const portNumbers: Readonly<Record<string, number>> = { telnet: 23, www: 80, echo: 7 };
const names = {
  portNumber: () => undefined,
  portName: () => undefined,
  hostAddress: () => undefined,
  hostName: () => undefined,
};

test.each(recorded)(
  '$file: the kernel accepted the rules, and lists the same rules as a director',
  async (kernel) => {
    const { file, rules, saved } = kernel;
    const text = readFileSync(join(PROJECT, 'conf', file), 'utf8');
    const parse = file.endsWith('.yaml') ? parseYaml : parseLvsConf;
    const confNames = { ...labNames, port: (name: string) => portNumbers[name] };
    const { document } = await parse(text, file, confNames, Object.keys(schedulers));
    // Where the example has changed since, the recording is out of date.
    expect(await linesOf(compile(document))).toEqual(rules);
    expect([kernel.status, kernel.stderr]).toEqual([0, '']);

    const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
    const director = new Director({ host, random: () => 0, maxConnections: 16 });
    let out = '';
    const at: Surroundings = {
      api: localApi(director, { now: () => 0 }),
      names,
      stdin: () => [rules.join('\n')],
      stdout: (more) => {
        out += more;
      },
      stderr: () => {},
    };
    expect(await runIpvsadm(['-R'], at)).toBe(0);
    expect(await runIpvsadm(['-S', '-n'], at)).toBe(0);
    expect(out.split('\n').slice(0, -1)).toEqual(saved);
  },
);
