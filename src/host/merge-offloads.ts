/** Disables the merging of received packets on an interface (GRO, LRO), and restores it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isInterfaceName } from './link-facts.ts';
import { runProgram, runProgramNow } from './run-program.ts';

/** Features of ethtool -K that merge received packets, by their names in ethtool -k. */
const FEATURES: Readonly<Record<string, string>> = {
  'generic-receive-offload': 'gro',
  'large-receive-offload': 'lro',
  'rx-gro-hw': 'rx-gro-hw',
  'rx-gro-list': 'rx-gro-list',
  'rx-udp-gro-forwarding': 'rx-udp-gro-forwarding',
};

/** Returns the features that are on and can be turned off, by the names that -K takes. */
export function mergingFeatures(listing: string): string[] {
  return listing.split('\n').flatMap((line) => {
    const [name = '', state = ''] = line.trim().split(': ');
    return state === 'on' && FEATURES[name] !== undefined ? [FEATURES[name]] : [];
  });
}

/**
 * Turns the features off and records them in `folder`, so that the next director can restore them if this one is
 * killed. Returns a function that restores them; does nothing where ethtool is missing or fails.
 */
export async function stopMerging(interfaceName: string, folder: string): Promise<() => void> {
  const record = recordOf(interfaceName, folder);
  const features = [...new Set([...(await activeFeatures(interfaceName)), ...recorded(record)])];
  if (features.length === 0) return () => {};
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(record, features.join(' '));
  } catch {
    // Without the record, the features stay off after a kill: slower, but correct.
  }
  await runProgram('ethtool', switching(interfaceName, features, 'off')).catch(() => {});
  return () => {
    runProgramNow('ethtool', switching(interfaceName, features, 'on'));
    rmSync(record, { force: true });
  };
}

/** Restores the features that a killed director turned off. Does nothing without a record of them. */
async function restoreMerging(interfaceName: string, folder: string): Promise<void> {
  const record = recordOf(interfaceName, folder);
  const features = recorded(record);
  if (features.length === 0) return;
  await runProgram('ethtool', switching(interfaceName, features, 'on')).catch(() => {});
  rmSync(record, { force: true });
}

/**
 * Restores the interfaces whose features a killed director turned off, except those in `except`: this director may
 * forward by another datapath, or on other interfaces.
 */
export async function restoreAllMerging(folder: string, except: readonly string[]): Promise<void> {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names) {
    const interfaceName = name.endsWith(RECORD_SUFFIX) ? name.slice(0, -RECORD_SUFFIX.length) : '';
    if (isInterfaceName(interfaceName) && !except.includes(interfaceName))
      await restoreMerging(interfaceName, folder);
  }
}

const RECORD_SUFFIX = '.merging';

const recordOf = (interfaceName: string, folder: string): string =>
  join(folder, `${interfaceName}${RECORD_SUFFIX}`);

const activeFeatures = (interfaceName: string): Promise<string[]> =>
  runProgram('ethtool', ['-k', interfaceName]).then(mergingFeatures, () => []);

const switching = (interfaceName: string, features: readonly string[], state: 'on' | 'off'): string[] => [
  '-K',
  interfaceName,
  ...features.flatMap((name) => [name, state]),
];

function recorded(path: string): string[] {
  try {
    const known = Object.values(FEATURES);
    return readFileSync(path, 'latin1')
      .split(' ')
      .filter((name) => known.includes(name));
  } catch {
    return [];
  }
}
