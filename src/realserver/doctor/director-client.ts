/** A neighbour of the host's own making, in a network namespace that lives for a question: it asks by ARP who has an address. */
import { LvsError } from '../../model/errors.ts';
import { type Machine, must } from '../machine.ts';

/** The MAC address that the host answers with, asked on a device like `device`; undefined: it keeps silent. */
export type Asker = (address: string, device: string) => Promise<string | undefined>;

/** Settings of a device that decide whether ARP is answered (ip-sysctl.rst). */
const COPIED = ['arp_ignore', 'arp_filter', 'proxy_arp'] as const;
/** An interface's number that no other namespace's peer has: the same one at both ends delays the carrier. */
const INDEX = 1_000_000;
/** Seconds in which a neighbour answers, if it does; a device that was just made may lose the first question. */
const PATIENCE = { known: '0.5', new: '4' } as const;
/** Link-local (RFC 3927): asked for first, so that a probe that does not work is told from silence. */
const CONTROL = '169.254.213.1';

let asked = 0;

/** Throws where no such neighbour can be made, or where it hears nothing at all. */
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
        String(INDEX + asked),
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
        await must(machine, ['ip', 'address', 'add', `${CONTROL}/32`, 'dev', near]);
        await must(machine, ['ip', 'link', 'set', near, 'up']);
        await must(machine, ['ip', '-n', space, 'link', 'set', far, 'up']);
        if ((await ask(CONTROL, space, far, 'new', machine)) === undefined)
          throw new LvsError('UNAVAILABLE', `a neighbour made to ask for ${address} is not heard`);
        return await ask(address, space, far, 'known', machine);
      } finally {
        await machine.run(['ip', 'link', 'del', near]);
      }
    });

/** The same from a macvlan on a device: it is another machine on the segment, and this host itself does not hear it. */
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
    // Without a local address the kernel takes every address for a broadcast one, and asks for none.
    await must(machine, ['ip', '-n', space, 'link', 'set', 'lo', 'up']);
    return await work(space);
  } finally {
    await machine.run(['ip', 'netns', 'del', space]);
  }
}

/** The kernel of the namespace asks, without an address of its own (RFC 5227's probe), and keeps what it hears. */
async function ask(
  address: string,
  space: string,
  device: string,
  patience: keyof typeof PATIENCE,
  machine: Machine,
): Promise<string | undefined> {
  await must(machine, ['ip', '-n', space, 'neigh', 'replace', address, 'dev', device, 'use']);
  const look = `ip -n ${space} neigh show ${address} dev ${device} | grep -q lladdr`;
  await machine.run(['timeout', PATIENCE[patience], 'sh', '-c', `until ${look}; do sleep 0.02; done`]);
  const text = await must(machine, ['ip', '-n', space, 'neigh', 'show', address, 'dev', device]);
  return /lladdr (\S+)/.exec(text)?.[1];
}
