/** Sends ARP requests to the host, or on its segment, from a temporary network namespace. */
import { LvsError } from '../../model/errors.ts';
import { type Machine, must } from '../machine.ts';

/** Resolves with the MAC address in the answer to a request on a device like `device`; undefined without an answer. */
export type Asker = (address: string, device: string) => Promise<string | undefined>;

/** Settings of a device that decide whether ARP is answered (ip-sysctl.rst). */
const COPIED = ['arp_ignore', 'arp_filter', 'proxy_arp'] as const;
/** First index of the devices, different from the peer's: equal indices at both ends delay the carrier. */
const FIRST_INDEX = 1_000_000;
/** How long to wait for an answer, s. A new device may lose the first request. */
const TIMEOUT_S = { known: '0.5', new: '4' } as const;
/** A link-local address (RFC 3927) that is requested first, to distinguish a probe that does not work from silence. */
const CONTROL_ADDRESS = '169.254.213.1';

let asked = 0;

/** Asks from the far end of a new veth pair. Throws LvsError where the pair cannot be created or does not work. */
export const askByVeth =
  (machine: Machine): Asker =>
  (address, device) =>
    within(machine, async (space) => {
      const near = `${space}a`;
      const far = `${space}b`;
      await must(machine, [
        'ip',
        'link',
        'add',
        near,
        'index',
        String(FIRST_INDEX + asked),
        'type',
        'veth',
        'peer',
        'name',
        far,
        'netns',
        space,
      ]);
      try {
        for (const name of COPIED) {
          const value = await machine.setting(`net/ipv4/conf/${device}/${name}`);
          if (value !== undefined) await machine.set(`net/ipv4/conf/${near}/${name}`, value);
        }
        await must(machine, ['ip', 'address', 'add', `${CONTROL_ADDRESS}/32`, 'dev', near]);
        await must(machine, ['ip', 'link', 'set', near, 'up']);
        await must(machine, ['ip', '-n', space, 'link', 'set', far, 'up']);
        if ((await ask(CONTROL_ADDRESS, space, far, 'new', machine)) === undefined)
          throw new LvsError(
            'UNAVAILABLE',
            `probe for ${address}: the host does not answer the temporary neighbor`,
          );
        return await ask(address, space, far, 'known', machine);
      } finally {
        await machine.run(['ip', 'link', 'del', near]);
      }
    });

/** Asks from a macvlan on the device, as another machine on the segment; this host itself does not receive the request. */
export const askOnSegment =
  (machine: Machine): Asker =>
  (address, device) =>
    within(machine, async (space) => {
      const name = `${space}m`;
      await must(machine, [
        'ip',
        'link',
        'add',
        'link',
        device,
        'name',
        name,
        'netns',
        space,
        'type',
        'macvlan',
        'mode',
        'bridge',
      ]);
      await must(machine, ['ip', '-n', space, 'link', 'set', name, 'up']);
      return ask(address, space, name, 'new', machine);
    });

async function within<T>(machine: Machine, work: (space: string) => Promise<T>): Promise<T> {
  const space = `lvsd${process.pid}.${asked++ % 100}`;
  await must(machine, ['ip', 'netns', 'add', space]);
  try {
    // Without a local address the kernel treats every address as a broadcast address, and sends no request.
    await must(machine, ['ip', '-n', space, 'link', 'set', 'lo', 'up']);
    return await work(space);
  } finally {
    await machine.run(['ip', 'netns', 'del', space]);
  }
}

/** Makes the namespace's kernel send the request, without a source address (a probe by RFC 5227), and reads the answer. */
async function ask(
  address: string,
  space: string,
  device: string,
  patience: keyof typeof TIMEOUT_S,
  machine: Machine,
): Promise<string | undefined> {
  await must(machine, ['ip', '-n', space, 'neigh', 'replace', address, 'dev', device, 'use']);
  const look = `ip -n ${space} neigh show ${address} dev ${device} | grep -q lladdr`;
  await machine.run(['timeout', TIMEOUT_S[patience], 'sh', '-c', `until ${look}; do sleep 0.02; done`]);
  const text = await must(machine, ['ip', '-n', space, 'neigh', 'show', address, 'dev', device]);
  return /lladdr (\S+)/.exec(text)?.[1];
}
