/**
 * Watches a VIP as the director does, and prints `conflicts` with the MAC addresses of other hosts that have it, or `none`, when
 * they change. SIGUSR2 advances the clock by 40 s: it passes the interval of probes.
 *
 *   node dist/test/support/vip-watch.js 192.168.0.101 eth0
 */
import { VipWatch, type WatchedVip } from '../../src/host/vip-watch.ts';
import { loadSystem } from '../../src/sys/system.ts';

const UPDATE_MS = 50;
const STEP_MS = 40_000;

const [address = '', device = 'eth0'] = process.argv.slice(2);
const vip: WatchedVip = { address, device, isShared: false, isPermanent: false };
let skipped = 0;
process.on('SIGUSR2', () => {
  skipped += STEP_MS;
  process.stdout.write(`advanced ${skipped / 1000}\n`);
});
const watch = new VipWatch(await loadSystem(), () => performance.now() + skipped);
let before = '';
setInterval(() => {
  watch.update([vip]);
  const now = `conflicts ${watch.conflicts.map(({ mac }) => mac).join(' ') || 'none'}`;
  if (now !== before) process.stdout.write(`${now}\n`);
  before = now;
}, UPDATE_MS);
