/** APIs of directors for tests: of a real director, and of one with any number of connections. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DirectorApi } from '../../src/control/director-api.ts';
import { Director } from '../../src/director/director.ts';
import type { ConnectionSnapshot } from '../../src/model/snapshot.ts';
import { localApi } from '../../src/runtime/local-director.ts';

/** A director without packets, at a time that stands still. */
export const directorApi = (): DirectorApi =>
  localApi(
    new Director({
      host: { transmit: () => true, route: () => undefined, isLocal: () => false },
      maxConnections: 64,
    }),
    { now: () => 1000, mtu: (name) => ({ lo: 65_536, eth0: 1500 })[name] },
  );

export const connection = (i: number): ConnectionSnapshot => ({
  protocol: 'TCP',
  state: 'ESTABLISHED',
  expires: 897,
  clientAddress: `10.0.${(i >> 8) & 255}.${i & 255}`,
  clientPort: 1024 + (i % 60_000),
  virtualAddress: '10.9.0.1',
  virtualPort: 80,
  destinationAddress: '10.1.0.11',
  destinationPort: 8080,
  template: false,
});

/** A folder of the test's own, gone afterwards. */
export class TemporaryFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'lvs-test-'));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
