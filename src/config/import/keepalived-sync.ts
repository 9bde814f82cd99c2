/** Reads `lvs_sync_daemon` of keepalived.conf(5), which starts the kernel's sync daemon. */
import { canonical, isMulticastGroup } from '../canonical-address.ts';
import { DEFAULT_BULK_PORT, type SyncDocument } from '../document.ts';
import { wholeNumber } from './import-result.ts';
import { type Leave, lastOf } from './keepalived-services.ts';
import type { Statement } from './keepalived-statements.ts';

export const SYNC_DAEMON = 'lvs_sync_daemon';
/** Numbers that may follow, with their bounds as in lvs.yaml. */
const MAX_ID = 255;
const MAX_PORT = 65_535;
const MAX_TTL = 255;
const MAX_LENGTH = 65_507;

/** `INTERFACE [inst] INSTANCE [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`. The sync ID is the VRID by default. */
export function syncOf(
  globals: readonly Statement[],
  instances: readonly Statement[],
  leave: Leave,
): SyncDocument | undefined {
  const statement = lastOf(globals, SYNC_DAEMON);
  if (statement === undefined) return undefined;
  const [, device, ...rest] = statement.words;
  const name = rest[0] === 'inst' ? rest[1] : rest[0];
  const after = (word: string) => {
    const at = rest.indexOf(word);
    return at < 0 ? undefined : rest[at + 1];
  };
  const vrid = lastOf(instances.find(({ words }) => words[1] === name)?.body ?? [], 'virtual_router_id');
  const problems: string[] = [];
  const number = (word: string, text: string | undefined, most: number) => {
    if (text === undefined) return undefined;
    const value = wholeNumber(text);
    if (value !== undefined && value <= most) return value;
    problems.push(`invalid ${word}`);
    return undefined;
  };
  const syncId = number('id', after('id') ?? vrid?.words[1], MAX_ID) ?? 0;
  const port = number('port', after('port'), MAX_PORT);
  const ttl = number('ttl', after('ttl'), MAX_TTL);
  const maxLength = number('maxlen', after('maxlen'), MAX_LENGTH);
  const group = after('group');
  if (device === undefined) problems.push('no interface');
  if (group !== undefined && !isMulticastGroup(group)) problems.push('invalid group');
  if (device === undefined || problems.length > 0) {
    leave(statement, problems.join(', '));
    return undefined;
  }
  return {
    role: 'both',
    daemon: {
      interface: device,
      syncId,
      ...(group !== undefined && { group: canonical(group) }),
      ...(port !== undefined && { port }),
      ...(ttl !== undefined && { ttl }),
      ...(maxLength !== undefined && { maxLength }),
    },
    peers: [],
    bulkPort: DEFAULT_BULK_PORT,
  };
}
