import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { ipvsadm, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';
import { SteadyLoad } from '../support/steady-load.ts';

const why = clusterMissing() ?? notBuilt('test/support/syn-flood');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const ROWS = 5000;
/** From 7/8 of the rows on, new connections take the place of embryonic ones. */
const NEARLY_FULL = 0.8 * ROWS;
/** A busy machine loses some: the flood ends when the table is nearly full. */
const PACKETS_PER_SECOND = 3000;
const MAX_SECONDS = 60;
const WEB = '127.0.0.1:9112';
/** Connections from before the flood. */
const HELD = 10;

/** Starts the agent and the servers on the real server. */
async function serve(lab: Lab): Promise<void> {
  const rs = lab.host('rs1');
  await startAgent(rs, '--vip', lab.vip);
  await startServers(rs, 1);
}

/** Begins a flood of packets to the VIP from the client. `more`: words of `syn-flood`. */
async function floodFrom(lab: Lab, ...more: readonly string[]): Promise<Program> {
  const mac = (await lab.director.exec('cat /sys/class/net/eth0/address')).trim();
  const flood = lab.client.spawn([
    ...built('test/support/syn-flood'),
    ...['--mac', mac, '--to', lab.vip, ...more],
    ...['--flood', String(PACKETS_PER_SECOND), '--seconds', String(MAX_SECONDS)],
  ]);
  await flood.line(/^open$/);
  flood.write('go\n');
  return flood;
}

test.skipIf(why !== undefined)(
  'after a SYN flood, clients are served although the table is full of its connections',
  async () => {
    await using lab = await Lab.create({ servers: 1 });
    await serve(lab);
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(
      config,
      `method: dr\nvips: [{ interface: eth0, address: ${lab.vip}, prefix: 24 }]\nservices: [{ tcp: '${lab.vip}:80', scheduler: rr, destinations: [192.168.0.3] }]\n`,
    );
    await startDirector(lab.director, config, ...['--datapath', 'live', '--connections', String(ROWS)]);
    const embryonic = async () =>
      (await lab.director.exec([...ipvsadm, '-Lnc'])).match(/ SYN_RECV /g)?.length ?? 0;
    const get = () => lab.client.run(`curl -sS --max-time 30 http://${lab.vip}/`);
    expect((await get()).stdout).toBe('I am real server #1\n');
    const load = { vip: lab.vip, held: HELD, perSecond: 1, limit: PATIENCE };
    await using held = await SteadyLoad.start(lab.client, load);
    const flood = await floodFrom(lab);
    await expect.poll(embryonic, { timeout: PATIENCE }).toBeGreaterThan(0);
    // The director answers the operator while it lasts.
    expect(await lab.director.exec([...ipvsadm, '-Ln'])).toContain(`TCP  ${lab.vip}:80 rr`);
    await expect.poll(embryonic, { timeout: PATIENCE }).toBeGreaterThan(NEARLY_FULL);
    // Connections from before are served meanwhile.
    const kept = await held.seen();
    expect(kept).toMatchObject({ ended: 0, lost: 0 });
    expect(kept.answers).toBeGreaterThan(HELD);
    expect(flood.running).toBe(true);
    flood.signal('SIGTERM');
    await flood.ended;
    expect((await get()).stdout).toBe('I am real server #1\n');
    expect(await embryonic()).toBeGreaterThan(NEARLY_FULL);
  },
);

test.skipIf(why !== undefined)(
  'a flood of ACKs fills the share of the table for connections of other directors, and clients are served',
  async () => {
    await using lab = await Lab.create({ servers: 1 });
    await serve(lab);
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(
      config,
      `method: dr
vips: [{ interface: eth0, address: ${lab.vip}, prefix: 24 }]
takeover: { share: 75 }
settings: { sloppy_tcp: 1 }
services: [{ tcp: '${lab.vip}:80', scheduler: mh, flags: [mh-port, mh-fallback], destinations: [192.168.0.3] }]
`,
    );
    const datapath = process.env['LVS_DATAPATH'] ?? 'tc';
    if (datapath === 'xdp') lab.pollPeers();
    const words = ['--datapath', datapath, '--connections', String(ROWS), '--metrics', WEB];
    await startDirector(lab.director, config, ...words);
    const metric = async (name: string) => {
      const text = await lab.director.exec(`curl -sS http://${WEB}/metrics`);
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.slice(name.length),
      );
    };
    await using held = await SteadyLoad.start(lab.client, {
      ...{ vip: lab.vip, held: HELD, perSecond: 10, limit: PATIENCE, interval: 200 },
    });
    const flood = await floodFrom(lab, '--flags', 'ACK');
    const limited = () => metric('lvs_dropped_packets_total{reason="takeover-limit"}');
    await expect.poll(limited, { timeout: PATIENCE }).toBeGreaterThan(ROWS / 2);
    expect(await held.seen()).toMatchObject({ lost: 0, failed: 0 });
    expect(flood.running).toBe(true);
    flood.signal('SIGTERM');
    await flood.ended;
    expect(await metric('lvs_connection_table_entries_highest')).toBeLessThan(0.85 * ROWS);
  },
);
