/** Finds problems of the VIP on a real server: missing, wrong mask, answered or announced by ARP. */
import { isIPv6 } from 'node:net';
import type { Machine } from '../machine.ts';
import type { Role } from '../plan.ts';
import type { Asker } from './director-client.ts';
import type { Finding } from './finding.ts';
import type { HostFacts } from './host-facts.ts';

/** From this value of arp_announce on, the host uses only addresses of the sending device in requests (ip-sysctl.rst). */
const SILENT_ANNOUNCE = 2;

export async function vipFindings(
  { vips, device }: Role,
  { addresses, devices }: HostFacts,
  machine: Machine,
  ask: Asker,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const [named = ''] = device.split(':');
  // The loopback is used if the host does not have the device, or the device would answer for the VIP.
  const carrier = devices.some(({ name, neighbors }) => name === named && !neighbors) ? named : 'lo';
  const speaking = devices.filter(({ neighbors, up }) => neighbors && up).map(({ name }) => name);
  for (const vip of vips) {
    const bits = isIPv6(vip) ? 128 : 32;
    const nodad = bits === 128 ? ' nodad' : '';
    // The sysctls come first: the host would answer ARP for an address that is added before.
    const silence = bits === 32 && !(await isSilent(speaking, machine)) ? `${SILENCE}; ` : '';
    const places = addresses.filter(({ address }) => address === vip);
    if (places.length === 0) {
      const remedy = `${silence}ip address add ${vip}/${bits} dev ${carrier}${nodad}`;
      findings.push({ name: 'vip-missing', what: `no device has ${vip}`, remedy });
      continue;
    }
    for (const { device: at, prefix } of places) {
      if (prefix !== bits)
        findings.push({
          name: 'vip-wide-mask',
          what: `${at} has ${vip}/${prefix}, not /${bits}`,
          remedy: `ip address del ${vip}/${prefix} dev ${at}; ip address add ${vip}/${bits} dev ${at}${nodad}`,
        });
      if (devices.some(({ name, up }) => name === at && !up))
        findings.push({
          name: 'vip-device-down',
          what: `${at} has ${vip}, and is down`,
          remedy: `ip link set ${at} up`,
        });
    }
    const spoken = places.find(({ device: at }) => speaking.includes(at));
    if (spoken)
      findings.push({
        name: 'vip-answered',
        what: `${vip} is on ${spoken.device}, so the host answers its neighbors`,
        remedy: `${silence}ip address del ${vip}/${spoken.prefix} dev ${spoken.device}; ip address add ${vip}/${bits} dev lo${nodad}`,
      });
    else if (bits === 32) findings.push(...(await answered(vip, speaking, ask, machine)));
    if (bits === 32) findings.push(...(await announced(vip, speaking, machine)));
  }
  return findings;
}

const SILENCE = 'sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2';

/** Reports whether the settings prevent answers and announcements; there is no address yet to probe. */
async function isSilent(devices: readonly string[], machine: Machine): Promise<boolean> {
  for (const device of devices) {
    if ((await effective('arp_ignore', device, machine)) === 0) return false;
    if ((await effective('arp_announce', device, machine)) < SILENT_ANNOUNCE) return false;
  }
  return true;
}

/** Probes from a temporary neighbor, on a device with the settings of the real one. */
async function answered(
  vip: string,
  devices: readonly string[],
  ask: Asker,
  machine: Machine,
): Promise<Finding[]> {
  for (const device of devices) {
    const isAnswered = await ask(vip, device).then(
      (mac) => mac !== undefined,
      // Without a temporary neighbor, the setting decides.
      async () => (await effective('arp_ignore', device, machine)) === 0,
    );
    if (isAnswered)
      return [
        {
          name: 'vip-answered',
          what: `ARP for ${vip} is answered on ${device}`,
          remedy: 'sysctl -w net.ipv4.conf.all.arp_ignore=1',
        },
      ];
  }
  return [];
}

async function announced(vip: string, devices: readonly string[], machine: Machine): Promise<Finding[]> {
  for (const device of devices) {
    const value = await effective('arp_announce', device, machine);
    if (value < SILENT_ANNOUNCE)
      return [
        {
          name: 'vip-announced',
          what: `arp_announce is ${value} on ${device}: packets from ${vip} may cause ARP requests with it as the sender`,
          remedy: 'sysctl -w net.ipv4.conf.all.arp_announce=2',
        },
      ];
  }
  return [];
}

/** Resolves with the value in force: the greater of the setting for all devices and the device's (ip-sysctl.rst). */
export async function effective(
  setting: 'arp_announce' | 'arp_ignore' | 'rp_filter',
  device: string,
  machine: Machine,
): Promise<number> {
  const values = await Promise.all(
    ['all', device].map((name) => machine.setting(`net/ipv4/conf/${name}/${setting}`)),
  );
  return Math.max(...values.map((value) => Number(value ?? 0)));
}
