/** Expands the synchronization of lvs.yaml. */
import { canonical, isHostAddress, isMulticastGroup } from '../canonical-address.ts';
import { DEFAULT_BULK_PORT, type SyncDocument } from '../document.ts';
import type { YamlContext } from './yaml-context.ts';

export function expandSync({ file, notes, place }: YamlContext): SyncDocument | undefined {
  if (file.sync === undefined) return undefined;
  const { role = 'both', interface: device, syncid = 0, group, port, ttl } = file.sync;
  const maxLength = file.sync['max-length'];
  const keyFile = file.sync['key-file'];
  const { peers = [], 'bulk-port': bulkPort = DEFAULT_BULK_PORT } = file.sync;
  for (const [i, peer] of peers.entries())
    if (!isHostAddress(peer))
      notes.error(
        place(['sync', 'peers', i]),
        `invalid peer '${peer}': expected an IPv4 or IPv6 address of a director`,
      );
  if (group !== undefined && !isMulticastGroup(group))
    return notes.error(
      place(['sync', 'group']),
      `invalid group '${group}': expected a multicast address such as 224.0.0.81 or ff02::81`,
    );
  return notes.at(place(['sync']), {
    role,
    daemon: {
      interface: device,
      syncId: syncid,
      ...(group !== undefined && { group: canonical(group) }),
      ...(port !== undefined && { port }),
      ...(ttl !== undefined && { ttl }),
      ...(maxLength !== undefined && { maxLength }),
    },
    ...(keyFile !== undefined && { keyFile }),
    peers: peers.map(canonical),
    bulkPort,
  });
}
