/** Checks the filter of a cluster without a director (mode nlb): tcx, or else clsact. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startAgent, startServers } from '../support/lvs-programs.ts';
import type { SharedCheck } from './check.ts';
import type { Site } from './site.ts';

const VIP = '192.168.0.111';
const VIP6 = 'fd00::111';

export const clusterFilterCheck: SharedCheck<Site> = {
  name: 'mode nlb: a server answers by its filter, and no more when its agent is killed',
  async run(site) {
    await site.stopDirector();
    const { director: server, client, folder } = site.lab;
    const file = join(folder, 'nlb.yaml');
    writeFileSync(
      file,
      `mode: nlb
cluster:
  interface: eth0
  addresses: [${VIP}, '${VIP6}']
  mac: multicast
  key: a secret of this laboratory
  hosts: [{ server: ${server.address}, id: 1 }]
  rules:
    - { tcp: 80, stickiness: 60 }
    - { tcp: 81, hosts: disabled }
`,
    );
    await using _program = await startServers(server, 1);
    const agent = await startAgent(server, '--config', file);
    const asked = (address: string) =>
      client.run(`curl -sS --max-time 60 --retry 5 --retry-all-errors http://${address}/`);
    for (const address of [VIP, `[${VIP6}]`]) {
      const { stdout, stderr } = await asked(address);
      if (!stdout.startsWith('I am real server #1')) throw new Error(`${address}: ${stdout}${stderr}`);
    }
    agent.signal('SIGKILL');
    await agent.ended;
    const { status } = await client.run(`curl -sS --max-time 5 http://${VIP}/`);
    if (status === 0) throw new Error('the killed agent left a filter that accepts connections');
    // The next agent restores what the killed one left.
    const next = await startAgent(server, '--config', file);
    await next.stop();
    return 'answered by IPv4 and IPv6; silent after kill -9';
  },
};
