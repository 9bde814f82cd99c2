/**
 * A director without packets that has a table, from which others fetch: `node dist/bench/bulk-feeder.js ADDRESS NUMBER SECRET`.
 * SECRET is that of the key file, in hexadecimal digits.
 */

import { DEFAULT_BULK_PORT } from '../src/config/document.ts';
import { BulkServer } from '../src/runtime/sync/bulk-server.ts';
import { deriveKey } from '../src/sync/sync-keys.ts';
import { side } from './bulk.ts';

const NETWORK = 20;
const [host = '', count = '', secret = ''] = process.argv.slice(2);
const connections = Number(count);
const { scene, sync } = side(connections);
for (let i = 0; i < connections; i++) {
  scene.open(NETWORK, i);
  // Established: its timeout is 15 minutes.
  scene.go(NETWORK, i);
}
new BulkServer(
  {
    sync,
    session: Buffer.alloc(8, 1),
    keys: () => [deriveKey(Buffer.from(secret, 'hex'))],
    isPeer: () => true,
    clock: () => scene.now,
    log: () => {},
  },
  { host, port: DEFAULT_BULK_PORT },
);
process.stdout.write('ready\n');
