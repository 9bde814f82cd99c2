/** The tunnel's end as a program in the kernel, where there is no device for it and the kernel takes programs. */
import { readdirSync, readFileSync } from 'node:fs';
import { Bpf } from '../../ebpf/bpf.ts';
import { linkFacts } from '../../host/link-facts.ts';
import { Attachments } from '../../offload/attach.ts';
import { decapCode } from '../../offload/decap.ts';
import { tc } from '../../offload/hooks.ts';
import { loadSystem } from '../../sys/system.ts';
import { parseAddress } from '../../wire/address.ts';
import type { TunnelEnd } from './tunnel-end.ts';

/** ARPHRD_ETHER (include/uapi/linux/if_arp.h). */
const ETHERNET = '1';

/**
 * Puts the program at these devices, or at all Ethernet ones, for as long as the process lives. It takes out plain
 * packets; the rest is left to whoever listens behind it. Returns where it is; undefined: nowhere, `say` tells why.
 */
export async function attachDecap(
  end: TunnelEnd,
  device: string | undefined,
  say: (line: string) => void,
): Promise<readonly string[] | undefined> {
  if (end.kernel || !end.encapsulations.some(({ type }) => type === 'ipip')) return undefined;
  const vips = end.vips.map(parseAddress).filter((vip) => vip !== undefined);
  const devices = device === undefined ? ethernetDevices() : [device];
  try {
    const attachments = new Attachments(new Bpf(await loadSystem()), tc.name, decapCode(tc, vips));
    for (const name of devices) {
      const link = linkFacts(name);
      if (link) attachments.attach(link.index);
    }
    return devices;
  } catch (error) {
    say(`tunnel: no program in the kernel (${(error as Error).message}), so all packets are taken out here`);
    return undefined;
  }
}

function ethernetDevices(): string[] {
  return readdirSync('/sys/class/net').filter((name) => {
    try {
      return readFileSync(`/sys/class/net/${name}/type`, 'latin1').trim() === ETHERNET;
    } catch {
      return false;
    }
  });
}
