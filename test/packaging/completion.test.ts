import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { completions } from '../../scripts/completion.ts';
import { program as director } from '../../src/cli/director/program.ts';
import { SPELLINGS } from '../../src/ipvsadm/options.ts';

const folder = mkdtempSync(join(tmpdir(), 'lvs-completion-'));
afterAll(() => rmSync(folder, { recursive: true }));
for (const shell of ['bash', 'zsh']) mkdirSync(join(folder, shell));
for (const [name, text] of Object.entries(completions())) writeFileSync(join(folder, name), text);

/** What bash offers for the last word of a command line. */
function bash(...words: string[]): string[] {
  const script = `
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    "_\${1//-/_}"; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const file = join(folder, 'bash', words[0]!);
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', file, ...words], {
    encoding: 'utf8',
    cwd: folder,
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter(Boolean).sort();
}

describe('bash completes', () => {
  test('commands', () => {
    expect(bash('lvs-director', 're')).toEqual(['reload', 'replay']);
    expect(bash('lvs-realserver', '')).toEqual(
      expect.arrayContaining(['run', 'doctor', 'restore', 'status', '--help']),
    );
  });

  test('every option of every command', () => {
    for (const command of director.commands) {
      const expected = command.options.filter(({ hidden }) => !hidden).map(({ long }) => long!);
      expect(bash('lvs-director', command.name(), '--')).toEqual(expect.arrayContaining(expected));
    }
  });

  test('values that are one of a few', () =>
    expect(bash('lvs-director', 'run', '--datapath', '')).toEqual(['auto', 'live', 'tc', 'xdp']));

  test('every option of ipvsadm, and its schedulers', () => {
    expect(bash('ipvsadm', '--')).toEqual(
      expect.arrayContaining(
        SPELLINGS.map(({ long }) => `--${long}`).filter((each, i, all) => all.indexOf(each) === i),
      ),
    );
    expect(bash('ipvsadm', '-A', '-t', '192.0.2.1:80', '-s', 'w')).toEqual(['wlc', 'wrr']);
    expect(bash('ipvsadm', '-t', '-')).toEqual([]);
  });

  test('files', () => {
    writeFileSync(join(folder, 'lvs.yaml'), '');
    expect(bash('lvs-director', 'check', 'lvs.')).toEqual(['lvs.yaml']);
    expect(bash('lvs-director', 'run', '--config', 'lvs.')).toEqual(['lvs.yaml']);
  });
});

const why = spawnSync('zsh', ['--version']).status === 0 ? undefined : 'zsh is not installed';
test('zsh is installed', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('zsh', () => {
  /** What _arguments and _describe are called with, after the words of a command line. */
  function zsh(program: string, state: string, ...words: string[]): string {
    const script = `
      _arguments() { if [[ $1 == -C ]]; then state=${state}; else print -rl -- "$@"; fi }
      _describe() { print -rl -- "\${(@P)2}" }
      file=$1; shift; words=("$@"); f() { source $file }; f`;
    const file = join(folder, 'zsh', `_${program}`);
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script, 'zsh', file, ...words], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    return stdout;
  }

  test('offers commands with their descriptions', () =>
    expect(zsh('lvs-director', 'command')).toContain('reload:make the running director reload its file'));

  test('offers every option of every command', () => {
    for (const command of director.commands)
      for (const { long } of command.options.filter(({ hidden }) => !hidden))
        expect(zsh('lvs-director', 'argument', command.name())).toContain(long);
  });

  test('offers every option of ipvsadm with its description, and its schedulers', () => {
    const offered = zsh('ipvsadm', 'argument');
    for (const { long } of SPELLINGS) expect(offered).toContain(`--${long}[`);
    expect(offered).toContain('-C[delete all services]');
    expect(offered).toMatch(/-s\[.*\]:scheduler:\(rr wrr/);
  });

  test('offers values that are one of a few, and files', () => {
    expect(zsh('lvs-director', 'argument', 'run')).toContain(':datapath:(auto tc xdp live)');
    expect(zsh('lvs-director', 'argument', 'run')).toContain(':config:_files');
  });
});
