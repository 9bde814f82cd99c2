/**
 * The director of the ipvsadm benchmark: `node ipvsadm-director.js SOCKET CONNECTIONS`. For each line on stdin it prints
 * its peak memory, bytes.
 */
import { createInterface } from 'node:readline';
import { serveControl } from '../src/control/server.ts';
import { localApi } from '../src/runtime/local-director.ts';
import { Scene } from './scene.ts';

const [path = '', connections = '0'] = process.argv.slice(2);
const NETWORK = 20;

const scene = new Scene('nat', Math.max(1024, Number(connections)));
for (let i = 0; i < Number(connections); i++) scene.open(NETWORK, i);
await using _control = await serveControl({
  path,
  api: localApi(scene.director, { now: () => scene.now }),
});
/** Peak memory, KiB (getrusage(2)). */
const peak = () => process.resourceUsage().maxRSS * 1024;
process.stdout.write(`${peak()}\n`);
for await (const _line of createInterface({ input: process.stdin })) process.stdout.write(`${peak()}\n`);
