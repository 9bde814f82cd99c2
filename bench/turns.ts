/** How long the packets of a director wait for its control plane: the longest turn of its event loop, by operation. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterMissing } from '../test/support/cluster.ts';
import { Lab } from '../test/support/lab.ts';
import { director, ipvsadm } from '../test/support/lvs-programs.ts';
import type { Program } from '../test/support/program.ts';
import { built } from '../test/support/project.ts';
import type { Effort, Figure } from './measure.ts';

const DESTINATIONS = 4;
/** Lines of a file that is refused. */
const REFUSED_LINES = 100_000;
/** Numbers of services: the time of each operation should grow like them. */
const SIZES = [1000, 3000, 4000, 16_000];
const MAX_COMMAND_MS = 600_000;

const METER = built('bench/turn-meter').at(-1)!;

const address = (i: number) => `198.51.${i >> 8}.${i & 255}`;
const server = (i: number, j: number) => `192.168.${1 + j}.${i & 255}`;

const document = (services: number, refused = '') => `method: nat
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
drain: 2
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: ['192.168.0.3'] }
${Array.from({ length: services }, (_, i) => `  - { tcp: '${address(i)}:80', scheduler: rr, destinations: [${Array.from({ length: DESTINATIONS }, (_, j) => `'${server(i, j)}'`).join(', ')}] }\n`).join('')}${refused}`;

const rules = (services: number) =>
  Array.from(
    { length: services },
    (_, i) =>
      `-A -t ${address(i)}:80 -s rr\n${Array.from({ length: DESTINATIONS }, (_, j) => `-a -t ${address(i)}:80 -r ${server(i, j)}:80 -m\n`).join('')}`,
  ).join('');

export async function turns({ quick }: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: turns is left out: ${missing}`);
    return [];
  }
  await using lab = await Lab.create({ servers: 1 });
  const config = join(lab.folder, 'lvs.yaml');
  writeFileSync(config, document(0));
  const [node, ...file] = director;
  const run = [node!, '--import', METER, ...file, 'run', '--config', config, '--datapath', 'live'];
  const program = lab.director.spawn([...run, '--metrics', '--procfs', join(lab.folder, 'proc')]);
  await program.line(/\bready\b/);
  const figures: Figure[] = [];
  const measure = async (what: string, work: () => Promise<unknown>) => {
    await longest(program);
    const begin = performance.now();
    await work();
    const time = performance.now() - begin;
    figures.push(
      { name: `turns: ${what}`, value: time, unit: 'ms' },
      { name: `turns: ${what}, longest turn, processor time`, value: await longest(program), unit: 'ms' },
    );
  };
  const start = (argv: readonly string[], input = '') =>
    lab.director.run(argv, { input, limit: MAX_COMMAND_MS });
  const reload = () => start([...director, 'reload']);
  for (const size of quick ? [100] : SIZES) {
    const scale = `${size} services x ${DESTINATIONS}`;
    await measure(`-R of ${scale}`, () => start([...ipvsadm, '-R'], rules(size)));
    await measure(`-Ln of ${scale}`, () => start([...ipvsadm, '-Ln']));
    await measure(`page and metrics of ${scale}`, () =>
      lab.director.run('curl -s http://127.0.0.1:9112/ http://127.0.0.1:9112/metrics'),
    );
    await measure(`-C of ${scale}`, () => start([...ipvsadm, '-C']));
    writeFileSync(config, document(0));
    await reload();
    writeFileSync(config, document(size));
    await measure(`reload of ${scale}`, reload);
    await measure(`reload of ${scale}, unchanged`, reload);
    writeFileSync(config, document(0));
    await measure(`reload that removes ${scale}`, async () => {
      const from = program.lines.length;
      await reload();
      await program.line(/destination-removed|service-removed/, MAX_COMMAND_MS, from);
      await new Promise((resolve) => setTimeout(resolve, 3000));
    });
  }
  writeFileSync(config, document(0, '  - nonsense\n'.repeat(quick ? 1000 : REFUSED_LINES)));
  await measure(`refused file of ${REFUSED_LINES} lines`, reload);
  return figures;
}

/** Resolves with the longest turn since the last call, ms. */
async function longest(program: Program): Promise<number> {
  const from = program.lines.length;
  process.kill(program.pid, 'SIGUSR2');
  const line = await program.line(/^turn-meter /, MAX_COMMAND_MS, from);
  return (JSON.parse(line.slice('turn-meter '.length)) as { longest: number }).longest;
}
