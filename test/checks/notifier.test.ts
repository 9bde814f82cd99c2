import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Notifier, type NotifierOptions, type NotifyFailure } from '../../src/checks/notifier.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-notify-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string) => join(folder, name);
const text = (name: string) => readFileSync(file(name), 'utf8');
const sh = (script: string, ...args: readonly string[]) => ['sh', '-c', script, ...args];
const down = (object = 'a', facts = {}) => ({ event: 'service-down', object, facts }) as const;

function notifying(options: Partial<NotifierOptions> = {}) {
  const failures: NotifyFailure[] = [];
  const notifier = new Notifier({ failed: (failure) => failures.push(failure), ...options });
  const settled = (programs: number) =>
    vi.waitFor(() => {
      const { succeeded, failed, timedOut } = notifier.counts;
      expect(succeeded + failed + timedOut).toBe(programs);
    }, 60_000);
  return { notifier, failures, settled };
}

describe('a program of an event', () => {
  test('gets its words as they are, and an environment of the facts alone', async () => {
    const { notifier, settled } = notifying();
    process.env['LVS_TEST_SECRET'] = 'x';
    const facts = { LVS_CAUSE: '$(reboot) `a`; "b"' };
    const script = 'printf "%s\\n" "$1" "$LVS_CAUSE" > "$0"; env | cut -d= -f1 | sort >> "$0"';
    notifier.run({ 'service-down': sh(script, file('words'), '$HOME; *') }, down('a', facts));
    await settled(1);
    const [word, cause, ...names] = text('words').trim().split('\n');
    expect([word, cause]).toEqual(['$HOME; *', facts.LVS_CAUSE]);
    // The shell adds PWD and others itself.
    expect(names).toEqual(expect.arrayContaining(['LVS_CAUSE', 'LVS_EVENT', 'PATH']));
    expect(names).not.toContain('LVS_TEST_SECRET');
    expect(names).not.toContain('HOME');
  });

  test('is not run for another event', async () => {
    const { notifier } = notifying();
    notifier.run({ 'service-up': ['false'] }, down());
    notifier.run(undefined, down());
    expect(notifier.counts).toEqual({ succeeded: 0, failed: 0, timedOut: 0, dropped: 0 });
  });

  test('waits for the earlier ones of its object, not for those of others', async () => {
    const { notifier, settled } = notifying();
    const log = (line: string, until = '') =>
      sh(
        `until [ -z "$2" ] || [ -e "$2" ]; do sleep 0.01; done; echo ${line} >> "$0"; touch "$1"`,
        file('order'),
        file(line),
        until && file(until),
      );
    notifier.run({ 'service-down': log('first', 'other') }, down('a'));
    notifier.run({ 'service-down': log('second') }, down('a'));
    notifier.run({ 'service-down': log('other') }, down('b'));
    await settled(3);
    expect(text('order')).toBe('other\nfirst\nsecond\n');
  });

  test('may leave processes behind that it has started', async () => {
    const { notifier, settled } = notifying();
    const script = '(until [ -e "$1" ]; do sleep 0.01; done; echo done > "$0") & exit 0';
    notifier.run({ 'service-down': sh(script, file('left'), file('go')) }, down());
    await settled(1);
    notifier.run({ 'service-down': ['touch', file('go')] }, down());
    await vi.waitFor(() => expect(text('left')).toBe('done\n'), 60_000);
  });

  test.each([
    ['that fails', sh('echo no mail >&2; exit 3'), { failed: 1 }, 'status 3: no mail'],
    ['that is missing', ['/nonexistent'], { failed: 1 }, 'program not found'],
    ['that is late', sh('sleep 60 & wait'), { timedOut: 1 }, 'no answer in 0.2 s'],
  ])('%s is reported and counted', async (_name, command, counts, why) => {
    const { notifier, failures, settled } = notifying({
      timeoutSeconds: command[2] === 'sleep 60 & wait' ? 0.2 : 20,
    });
    notifier.run({ 'service-down': command }, down());
    await settled(1);
    expect(notifier.counts).toMatchObject(counts);
    expect(failures).toMatchObject([{ program: command[0], object: 'a', event: 'service-down', why }]);
  });

  test('is dropped and reported when too many wait', async () => {
    const { notifier, failures, settled } = notifying({ maxWaiting: 1 });
    for (let i = 0; i < 4; i++) notifier.run({ 'service-down': ['true'] }, down());
    expect(notifier.counts.dropped).toBe(2);
    expect(failures).toMatchObject([{ why: 'too many programs wait' }, { why: 'too many programs wait' }]);
    await settled(2);
  });

  test('runs as the configured user', async ({ skip }) => {
    skip(process.getuid!() !== 0, 'requires root');
    const { notifier, failures, settled } = notifying();
    notifier.user = { uid: 65_534, gid: 65_534 };
    notifier.run(
      { 'service-down': sh('test "$(id -u):$(id -G)" = 65534:65534 && test "$(pwd)" = /') },
      down(),
    );
    await settled(1);
    expect(failures).toEqual([]);
  });
});
