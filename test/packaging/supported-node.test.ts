import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { notBuilt, PROJECT } from '../support/project.ts';

const programs = ['director', 'realserver', 'ipvsadm', 'ipvsadm-save', 'ipvsadm-restore'];
const why = notBuilt(...programs.map((name) => `src/cli/${name}`));
const { engines } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
  engines: { node: string };
};

/** Runs a program as a Node.js that says it is another version. */
function runAs(version: string, name: string) {
  const pretend = `Object.defineProperty(process.versions, 'node', { value: '${version}' });`;
  const preload = `data:text/javascript,${encodeURIComponent(pretend)}`;
  const file = join(PROJECT, 'dist', 'src', 'cli', `${name}.js`);
  return spawnSync(process.execPath, ['--import', preload, file, '--help'], { encoding: 'utf8' });
}

test('the build exists', ({ skip }) => skip(why !== undefined, why));

test.skipIf(why !== undefined).each(programs)(
  '%s ends with one line that names the required Node.js on an older one',
  (name) => {
    const { status, stderr } = runAs('20.18.3', name);
    const required = engines.node.replace('>=', '');
    expect(stderr).toMatch(
      new RegExp(`^lvs: Node\\.js 20\\.18\\.3 is not supported: expected ${required} or newer .*\\n$`),
    );
    expect(status).toBe(1);
    expect(runAs('20.19.0', name).stderr).not.toContain('not supported');
  },
);

test.each(programs)('%s checks the version before it loads a file that old versions cannot parse', (name) => {
  const source = readFileSync(join(PROJECT, 'src', 'cli', `${name}.ts`), 'utf8');
  const [first, ...others] = [...source.matchAll(/^import ['"{].*$/gm)].map(([line]) => line);
  expect(first).toBe("import './supported-node.ts';");
  expect(others).toEqual(["import { loadProgram } from './load-program.ts';"]);
});

test.skipIf(why !== undefined).each([
  ['director', 24, ['--version']],
  ['director', 50, ['run', '--config', 'conf/nat.yaml']],
  ['director', 70, ['run', '--config', 'conf/nat.yaml']],
  ['realserver', 32, ['--version']],
] as const)(
  '%s with a limit of %d open files ends with one line that names the limit',
  (name, limit, args) => {
    const file = join(PROJECT, 'dist', 'src', 'cli', `${name}.js`);
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', `ulimit -n ${limit}; exec "$@"`, 'sh', process.execPath, file, ...args],
      { encoding: 'utf8', cwd: PROJECT },
    );
    expect(stderr).toMatch(
      /^lvs(-director)?: too many open files while the program is loaded: expected .*ulimit -n.*\n$/,
    );
    expect(status).toBe(1);
  },
);
