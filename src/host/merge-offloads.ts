/** Disables the merging of received packets on an interface (GRO, LRO), and restores it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

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
 * killed. Returns a function that restores them; does nothing where ethtool is missing.
 */
export function stopMerging(interfaceName: string, folder: string): () => void {
  const record = join(folder, `${interfaceName}.merging`);
  const listing = spawnSync('ethtool', ['-k', interfaceName], { encoding: 'utf8' }).stdout ?? '';
  const features = [...new Set([...mergingFeatures(listing), ...recorded(record)])];
  if (features.length === 0) return () => {};
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(record, features.join(' '));
  } catch {
    // Without the record, the features stay off after a kill: slower, but correct.
  }
  const set = (state: 'on' | 'off') =>
    spawnSync('ethtool', ['-K', interfaceName, ...features.flatMap((name) => [name, state])]);
  set('off');
  return () => {
    set('on');
    rmSync(record, { force: true });
  };
}

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
