/** Expands the synchronization of lvs.yaml. */
import { canonical, isMulticastGroup } from '../canonical-address.ts';
import type { SyncDocument } from '../document.ts';
import type { YamlContext } from './yaml-context.ts';

export function expandSync({ file, notes, place }: YamlContext): SyncDocument | undefined {
  if (file.sync === undefined) return undefined;
  const { role = 'both', interface: device, syncid = 0, group, port, ttl } = file.sync;
  const maxLength = file.sync['max-length'];
  const keyFile = file.sync['key-file'];
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
  });
}
