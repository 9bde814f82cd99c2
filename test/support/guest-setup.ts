/** Prepares a User-Mode Linux guest, whose root is the host's file system. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { HOSTS } from './ipvs-guest-names.ts';

const MODULES =
  'ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_lblc ip_vs_lblcr ip_vs_sh ip_vs_dh ip_vs_sed ip_vs_nq';
const MORE_MODULES = 'ip_vs_fo ip_vs_ovf ip_vs_mh ip_vs_pe_sip dummy';
const run = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: 'utf8' });

/** Mounts what programs need, loads IPVS, and gives the guest its names. */
export function setUpGuest(): void {
  for (const [type, path] of [
    ['proc', '/proc'],
    ['sysfs', '/sys'],
    ['tmpfs', '/run'],
    ['tmpfs', '/var/log'],
  ])
    run('mount', '-t', type!, type!, path!);
  for (const folder of ['/run/lock', '/run/modules/lib']) mkdirSync(folder, { recursive: true });
  symlinkSync('/usr/lib/uml/modules', '/run/modules/lib/modules');
  run('modprobe', '-d', '/run/modules', '-a', ...MODULES.split(' '), ...MORE_MODULES.split(' '));
  writeFileSync('/run/hosts', HOSTS.map((each) => `${each.join(' ')}\n`).join(''));
  writeFileSync('/run/nsswitch.conf', 'hosts: files\nservices: files\nprotocols: files\n');
  run('mount', '--bind', '/run/hosts', '/etc/hosts');
  run('mount', '--bind', '/run/nsswitch.conf', '/etc/nsswitch.conf');
}
