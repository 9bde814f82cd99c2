/**
 * Re-creates the picture and the transcripts of docs/, with a real director in the laboratory: scripts/pictures.
 * With a URL and a file as arguments, it only takes a screenshot of that page.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { browserMissing, openBrowser } from '../test/support/browser.ts';
import { clusterMissing } from '../test/support/cluster.ts';
import { Lab } from '../test/support/lab.ts';
import { director, ipvsadm, startAgent, startDirector, startServers } from '../test/support/lvs-programs.ts';
import { PROJECT } from '../test/support/project.ts';

const DOCS = join(PROJECT, 'docs');
const SIZE = { width: 1120, height: 860 };
/** Seconds of traffic for the graphs. */
const TRAFFIC_S = 60;

const CONFIG = `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
services:
  - tcp: 192.168.0.101:80
    scheduler: wrr
    check: { type: http, path: /, interval: 1, timeout: 1, fall: 2, rise: 1 }
    destinations:
      - { server: 192.168.0.3, weight: 3 }
      - { server: 192.168.0.4, weight: 2 }
      - { server: 192.168.0.5, weight: 1 }
      - { server: 192.168.0.6, weight: 2 }
  - tcp: 192.168.0.101:23
    scheduler: wlc
    persistent: 300
    destinations: [192.168.0.3, 192.168.0.4]
`;

async function picture(url: string, file: string): Promise<void> {
  await using browser = await openBrowser();
  const page = await browser.newPage({ viewport: SIZE, colorScheme: 'light' });
  await page.goto(url);
  await page.locator('#live', { hasText: 'live,' }).waitFor();
  await page.screenshot({ path: file });
}

/** Replaces the transcript between the marks of this name in docs/observability.md. */
function put(name: string, transcript: string): void {
  const file = join(DOCS, 'observability.md');
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->`];
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file}: marks of ${name}: not found`);
  const fenced = `\`\`\`\n${transcript.trimEnd()}\n\`\`\`\n`;
  writeFileSync(file, text.slice(0, from + begin.length) + fenced + text.slice(to));
}

async function pictures(): Promise<void> {
  mkdirSync(DOCS, { recursive: true });
  await using lab = await Lab.create({ servers: 4 });
  const config = join(lab.folder, 'lvs.yaml');
  writeFileSync(config, CONFIG);
  const servers = [];
  for (const [i, host] of lab.servers.entries()) {
    await startAgent(host, '--vip', '192.168.0.101');
    servers.push(await startServers(host, i + 1));
  }
  await startDirector(lab.director, config, '--metrics', '127.0.0.1:9112');
  const load = lab.client.spawn([
    'sh',
    '-c',
    `i=0; while [ $i -lt 100000 ]; do curl -sS -o /dev/null --max-time 2 "http://vip/big?octets=20000"; i=$((i+1)); [ $((i % 97)) -lt 40 ] || sleep 0.03; done`,
  ]);
  await lab.client.exec(`sleep ${TRAFFIC_S / 2}`);
  await servers[2]!.stop('SIGKILL');
  await lab.director.exec([...ipvsadm, ...'-e -t 192.168.0.101:80 -r 192.168.0.6:80 -g -w 0'.split(' ')]);
  await lab.client.exec(`sleep ${TRAFFIC_S / 2}`);
  const self = [process.execPath, join(PROJECT, 'dist', 'scripts', 'pictures.js')];
  await lab.director.exec([...self, 'http://127.0.0.1:9112/', join(DOCS, 'status-page.png')]);
  const transcript = async (...words: string[]) => {
    const { stdout } = await lab.director.run([...director, ...words]);
    return `$ lvs-director ${words.join(' ')}\n${stdout}`;
  };
  const ends = (port: number) => ['--from', '192.168.0.200:40000', '--to', `192.168.0.101:${port}`];
  put('explain', await transcript('explain', ...ends(80)));
  put('top', await transcript('top'));
  await load.stop();
}

const [url, file] = process.argv.slice(2);
const missing = browserMissing ?? clusterMissing();
if (missing !== undefined) {
  console.error(`pictures: ${missing}`);
  process.exitCode = 1;
} else if (url !== undefined && file !== undefined) await picture(url, file);
else await pictures();
