/** Turns off the merging of received packets on an interface, and puts it back. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Features of ethtool -K that make long packets of several, by their names in ethtool -k. */
const FEATURES: Readonly<Record<string, string>> = {
  'generic-receive-offload': 'gro',
  'large-receive-offload': 'lro',
  'rx-gro-hw': 'rx-gro-hw',
  'rx-gro-list': 'rx-gro-list',
  'rx-udp-gro-forwarding': 'rx-udp-gro-forwarding',
};

/** Features that are on and can be turned off, by the names that -K takes. */
export function mergingFeatures(listing: string): string[] {
  return listing.split('\n').flatMap((line) => {
    const [name = '', state = ''] = line.trim().split(': ');
    return state === 'on' && FEATURES[name] !== undefined ? [FEATURES[name]] : [];
  });
}

/**
 * Switches off what is on, and writes that down in `folder`, so that a director that was killed leaves it to the
 * next one to put back. Returns what puts it back; does nothing where there is no ethtool.
 */
export function stopMerging(interfaceName: string, folder: string): () => void {
  const note = join(folder, `${interfaceName}.merging`);
  const listing = spawnSync('ethtool', ['-k', interfaceName], { encoding: 'utf8' }).stdout ?? '';
  const features = [...new Set([...mergingFeatures(listing), ...noted(note)])];
  if (features.length === 0) return () => {};
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(note, features.join(' '));
  } catch {
    // Without a place to write, a kill leaves the features off: slower, not wrong.
  }
  const set = (state: 'on' | 'off') =>
    spawnSync('ethtool', ['-K', interfaceName, ...features.flatMap((name) => [name, state])]);
  set('off');
  return () => {
    set('on');
    rmSync(note, { force: true });
  };
}

function noted(path: string): string[] {
  try {
    const known = Object.values(FEATURES);
    return readFileSync(path, 'latin1')
      .split(' ')
      .filter((name) => known.includes(name));
  } catch {
    return [];
  }
}
