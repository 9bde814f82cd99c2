/** A program that a clsact filter holds acts only as long as its process lives. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kernel } from '../support/ebpf/kernel.ts';
import { Lab } from '../support/lab.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import { PATIENCE } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why =
  (missing && `${missing.what}: ${missing.why}`) ??
  notBuilt('test/support/drop-packets') ??
  ('why' in kernel ? kernel.why : undefined);

test('namespaces, the build and a kernel that loads programs are available', ({ skip }) =>
  skip(why !== undefined, why));

describe.skipIf(why !== undefined)('a filter whose process drops every packet', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.create({ servers: 1 });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());
  const answers = async () => (await lab.client.run(`ping -c 1 -W 1 ${lab.director.address}`)).status === 0;
  const filters = () => lab.director.exec('tc filter show dev eth0 ingress');

  test.each([
    ['killed', 'SIGKILL', /lvs_director/],
    ['asked to end', undefined, /^$/],
  ] as const)('passes every packet after the process is %s', async (_how, signal, left) => {
    const program = lab.director.spawn([...built('test/support/drop-packets'), 'eth0']);
    await program.line(/^ready$/);
    expect(await answers()).toBe(false);
    if (signal === undefined) program.end();
    else program.signal(signal);
    await program.ended;
    // The kernel empties the program array soon after the process has ended, in a work queue.
    await expect.poll(answers, { timeout: PATIENCE }).toBe(true);
    expect(await filters()).toMatch(left);
  });
});
