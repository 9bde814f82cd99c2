import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { withOurs } from '../support/ipvsadm-users.ts';
import { Lab } from '../support/lab.ts';
import { ipvsadm, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';

const LDIRECTORD = '/usr/sbin/ldirectord';
const why = clusterMissing() ?? lacking(LDIRECTORD, 'ldirectord') ?? lacking('/sbin/ipvsadm', 'ipvsadm');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const DIRECTOR = `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
adopt: keep
services: []
`;

/** Web servers are quiesced when they fail; telnet servers, whose check is a connection only, are removed. */
const CONFIG = `checktimeout=20
checkinterval=1
negotiatetimeout=20
supervised=yes
cleanstop=yes
virtual=192.168.0.101:80
        real=192.168.0.3:80 gate 1
        real=192.168.0.4:80 gate 2 l:10 u:1000
        service=http
        request="/"
        receive="I am real server"
        scheduler=wrr
        protocol=tcp
        checktype=negotiate
        quiescent=yes
virtual=192.168.0.101:23
        real=192.168.0.3:23 gate
        real=192.168.0.4:23 gate
        service=none
        scheduler=rr
        persistent=600
        netmask=255.255.255.0
        protocol=tcp
        checktype=connect
        quiescent=no
virtual=7
        real=192.168.0.3:0 ipip 3
        fallback=127.0.0.1
        service=none
        scheduler=sed
        protocol=fwm
        checktype=on
`;

const WEB = ['192.168.0.3:80 Route 1', '192.168.0.4:80 Route 2'];
const TELNET = ['192.168.0.3:23 Route 1', '192.168.0.4:23 Route 1'];
const MARKED = ['192.168.0.3:0 Tunnel 3'];

describe.skipIf(why !== undefined)('ldirectord of Debian', () => {
  let lab: Lab;
  let ldirectord: Program;
  const servers: Program[] = [];

  beforeAll(async () => {
    lab = await Lab.create();
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, '--vip', lab.vip);
      servers.push(await startServers(host, i + 1));
    }
    const director = join(lab.folder, 'lvs.yaml');
    writeFileSync(director, DIRECTOR);
    await startDirector(lab.director, director);
    // One that ldirectord knows nothing of.
    await lab.director.exec([...ipvsadm, '-A', '-t', '192.168.0.101:443', '-s', 'rr']);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const list = (...words: string[]) => lab.director.exec([...ipvsadm, '-L', '-n', ...words]);
  /** Destinations of the services as `address method weight`, by service. */
  async function destinations(): Promise<Record<string, string[]>> {
    const services: Record<string, string[]> = {};
    let last: string[] = [];
    for (const line of (await list()).split('\n').slice(3)) {
      const words = line.trim().split(/\s+/);
      if (words[0] === '->') last.push(`${words[1]} ${words[2]} ${words[3]}`);
      else {
        last = [];
        services[words[1]!] = last;
      }
    }
    for (const each of Object.values(services)) each.sort();
    return services;
  }
  /** Resolves when these services have these destinations. It starts ipvsadm three times for each change. */
  const settled = (services: Record<string, string[]>) =>
    expect.poll(destinations, { timeout: 110_000, interval: 100 }).toMatchObject(services);
  const get = () => lab.client.exec(['curl', '-sS', '--max-time', '30', `http://${lab.vip}/`]);

  test('sets up the services', async () => {
    const config = join(lab.folder, 'ldirectord.cf');
    writeFileSync(config, CONFIG);
    ldirectord = lab.director.spawn(withOurs(lab.director, LDIRECTORD, config, 'start'));
    await settled({
      '192.168.0.101:80': WEB,
      '192.168.0.101:23': TELNET,
      '192.168.0.101:443': [],
      7: MARKED,
    });
    expect(await list()).toMatch(/^TCP {2}192\.168\.0\.101:80 wrr$/m);
    expect(await list()).toMatch(/^TCP {2}192\.168\.0\.101:23 rr persistent 600 mask 255\.255\.255\.0$/m);
    expect(await list('--thresholds')).toMatch(/^ {2}-> 192\.168\.0\.4:80 +1000 +10 +/m);
    const answers = [await get(), await get(), await get()].sort();
    expect(answers).toEqual(['I am real server #1', 'I am real server #2', 'I am real server #2']);
  });

  test('quiesces a web server that is stopped, and removes the telnet server', async () => {
    await servers[1]!.stop();
    await settled({
      '192.168.0.101:80': ['192.168.0.3:80 Route 1', '192.168.0.4:80 Route 0'],
      '192.168.0.101:23': ['192.168.0.3:23 Route 1'],
    });
    for (let i = 0; i < 4; i++) expect(await get()).toBe('I am real server #1');
  });

  test('restores both servers', async () => {
    servers[1] = await startServers(lab.servers[1]!, 2);
    await settled({ '192.168.0.101:80': WEB, '192.168.0.101:23': TELNET });
    const answers = [await get(), await get(), await get()].sort();
    expect(answers).toEqual(['I am real server #1', 'I am real server #2', 'I am real server #2']);
  });

  test('cleans up when it is stopped, and leaves other rules alone', async () => {
    expect(await ldirectord.stop('SIGTERM', 60_000)).toBe(0);
    expect(await destinations()).toEqual({ '192.168.0.101:443': [] });
    expect(ldirectord.output).not.toMatch(/^.*failed.*/im);
  });
});
