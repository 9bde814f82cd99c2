/** The tunnel's end as a program in the kernel, where there is no device for it and the kernel takes programs. */
import { readdirSync, readFileSync } from 'node:fs';
import { Bpf } from '../../ebpf/bpf.ts';
import { linkFacts } from '../../host/link-facts.ts';
import type { Say } from '../../model/level.ts';
import { Attachments } from '../../offload/attach.ts';
import { decapCode } from '../../offload/decap.ts';
import { tc } from '../../offload/hooks.ts';
import { loadSystem } from '../../sys/system.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { parseAddress } from '../../wire/address.ts';
import type { TunnelEnd } from './tunnel-end.ts';

/** ARPHRD_ETHER (include/uapi/linux/if_arp.h). */
const ETHERNET = '1';

/** ms between two checks that the program is still attached: another program may have deleted the qdisc that holds it. */
const CHECK_MS = 1000;

/** A program in the kernel that decapsulates packets; disposing of it detaches the program. */
export interface DecapProgram extends Disposable {
  /** Names of the interfaces that it is attached to. */
  readonly devices: readonly string[];
}

/**
 * Attaches the program to `device`, or to all Ethernet devices. It decapsulates plain packets; the agent's sockets
 * receive the others. Returns undefined where the kernel takes no program: `say` gets the reason.
 */
export async function attachDecap(
  end: TunnelEnd,
  device: string | undefined,
  say: Say,
): Promise<DecapProgram | undefined> {
  if (end.kernel || !end.encapsulations.some(({ type }) => type === 'ipip')) return undefined;
  const vips = end.vips.map(parseAddress).filter((vip) => vip !== undefined);
  const devices = device === undefined ? ethernetDevices() : [device];
  let attachments: Attachments | undefined;
  try {
    const bpf = new Bpf(await loadSystem());
    const opened = new Attachments(bpf, { hook: tc.name, role: 'tunnel', code: decapCode(tc, vips) });
    attachments = opened;
    for (const name of devices) attach(opened, name);
    const timer = setInterval(() => restore(opened, devices, say), CHECK_MS).unref();
    return {
      devices,
      [Symbol.dispose]() {
        clearInterval(timer);
        opened[Symbol.dispose]();
      },
    };
  } catch (error) {
    attachments?.[Symbol.dispose]();
    say(
      `tunnel: no program in the kernel (${(error as Error).message}), so this process decapsulates all packets`,
      'warning',
    );
    return undefined;
  }
}

/** Reports whether the program had to be attached again. Throws SystemCallError. */
function attach(attachments: Attachments, name: string): boolean {
  const link = linkFacts(name);
  return link !== undefined && attachments.attach(link.index) === 'restored';
}

function restore(attachments: Attachments, devices: readonly string[], say: Say): void {
  for (const name of devices)
    try {
      if (attach(attachments, name))
        say(`tunnel: ${name}: the program was detached by another program, and is attached again`, 'warning');
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      say(`tunnel: ${name}: cannot attach the program again: ${error.message}`, 'error');
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
