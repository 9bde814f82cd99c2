import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { withOurs } from '../support/ipvsadm-users.ts';
import { Lab } from '../support/lab.ts';
import { ipvsadm, startDirector } from '../support/lvs-programs.ts';

const INIT = '/etc/init.d/ipvsadm';
const why = clusterMissing() ?? lacking('/sbin/ipvsadm-save', 'ipvsadm') ?? lacking(INIT, 'ipvsadm');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const DIRECTOR = `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
services: []
`;
const RULES = `-A -t 192.168.0.101:80 -s wrr -p 600 -M 255.255.255.0
-a -t 192.168.0.101:80 -r 192.168.0.3:80 -g -w 3
-a -t 192.168.0.101:80 -r 192.168.0.4:80 -i -w 0 --tun-type gue --tun-port 6080 --tun-nocsum
-A -u 192.168.0.101:53 -s sh -o -b sh-port
-a -u 192.168.0.101:53 -r 192.168.0.3:5353 -m -w 1
-A -t [fd00::101]:443 -s mh
-a -t [fd00::101]:443 -r [fd00::3]:443 -g -w 1
-A -f 7 -s rr
`;

describe.skipIf(why !== undefined)('the scripts of the Debian package ipvsadm:', () => {
  let lab: Lab;
  /** The words that run a script where /sbin/ipvsadm is ours and /etc/default/ipvsadm the laboratory's. */
  let script: (...command: string[]) => string[];
  let rulesFile: string;

  beforeAll(async () => {
    lab = await Lab.create();
    const config = join(lab.folder, 'lvs.yaml');
    const settings = join(lab.folder, 'default');
    rulesFile = join(lab.folder, 'ipvsadm.rules');
    writeFileSync(config, DIRECTOR);
    writeFileSync(settings, `AUTO=true\nDAEMON=both\nIFACE=eth0\nSYNCID=5\nIPVSADM_RULES=${rulesFile}\n`);
    const inPlace = 'mount --bind "$0" /etc/default/ipvsadm && exec "$@"';
    script = (...command) => ['sh', '-c', inPlace, settings, ...withOurs(lab.director, ...command)];
    await startDirector(lab.director, config);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const ours = (words: string, input = '') => lab.director.exec([...ipvsadm, ...words.split(' ')], { input });
  const rules = async () => `${await ours('-S -n')}\n`.split('\n').sort();
  const init = (what: string) => lab.director.run(script(INIT, what));
  const quiet = { status: 0, stderr: '' };

  test('ipvsadm-save and ipvsadm-restore keep the rules', async () => {
    await ours('-R', RULES);
    const saved = await lab.director.run(script('ipvsadm-save', '-n'));
    expect(saved).toMatchObject(quiet);
    expect(saved.stdout.split('\n').sort()).toEqual(RULES.split('\n').sort());
    await ours('-A -t 192.168.0.101:9999');
    const input = `# saved yesterday\n${saved.stdout}`;
    expect(await lab.director.run(script('ipvsadm-restore'), { input })).toMatchObject(quiet);
    expect(await rules()).toEqual(RULES.split('\n').sort());
    expect(await lab.director.run(script('ipvsadm-save', '-x'))).toMatchObject({ status: 1, stdout: '' });
  });

  test('the init script saves rules, and starts with the saved rules', async () => {
    await ours('-C');
    await ours('-R', RULES);
    expect(await init('save')).toMatchObject(quiet);
    expect(readFileSync(rulesFile, 'utf8')).toMatch(/^# ipvsadm\.rules\n-A /);
    await ours('-C');
    expect(await init('start')).toMatchObject(quiet);
    expect(await rules()).toEqual(RULES.split('\n').sort());
    expect(await ours('-L --daemon')).toMatch(
      /^master sync .*mcast=eth0, syncid=5.*\nbackup sync .*mcast=eth0, syncid=5/,
    );
  });

  test('the init script lists, loads and stops', async () => {
    expect((await init('status')).stdout).toMatch(
      /^TCP {2}192\.168\.0\.101:80 wrr persistent 600 mask 255\.255\.255\.0$/m,
    );
    expect((await init('rate')).stdout).toMatch(/^ {2}-> 192\.168\.0\.3:80 +0 +0 +0 +0 +0$/m);
    await ours('-A -t 192.168.0.101:9999');
    expect(await init('load')).toMatchObject(quiet);
    expect(await rules()).toEqual(RULES.split('\n').sort());
    expect(await init('stop')).toMatchObject(quiet);
    expect(await rules()).toEqual(['', '']);
    expect(await ours('-L --daemon')).toBe('');
  });
});
