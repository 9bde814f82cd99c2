/** Loads a package with native code, and reports how to get it where it is missing. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { LvsError } from '../model/errors.ts';

/** Debian packages that a build needs. */
const BUILD_TOOLS = 'g++, make and python3';

/**
 * Returns the package of that name. An installation may have builds for several versions of Node.js, in folders by the
 * version of their binary interface (process.versions.modules); otherwise the package is looked up as usual.
 * `libraries`: Debian packages that its build needs besides the compiler. Throws LvsError UNAVAILABLE.
 */
export async function loadNativePackage<T>(name: string, libraries: string = ''): Promise<T> {
  const builds = buildsFolder(import.meta.dirname);
  const abi = process.versions.modules;
  if (builds !== undefined && !existsSync(join(builds, abi)))
    throw new LvsError(
      'UNAVAILABLE',
      `package ${name}: not built for Node.js ${process.versions.node} (ABI ${abi}) in ${builds} (install a version of Node.js that has a folder there)`,
    );
  try {
    if (builds !== undefined) return createRequire(join(builds, abi, 'package.json'))(name) as T;
    const loaded = (await import(name)) as T & { readonly default?: T };
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new LvsError(
      'UNAVAILABLE',
      `package ${name}: not installed or not built for Node.js ${process.versions.node} (install ${libraries}${BUILD_TOOLS}, then install lvs again: npm ci in a clone, npm install -g elsewhere)`,
      { cause },
    );
  }
}

/** Returns the folder `native` beside the nearest package.json; undefined if there is none. */
function buildsFolder(folder: string): string | undefined {
  if (existsSync(join(folder, 'package.json'))) {
    const builds = join(folder, 'native');
    return existsSync(builds) ? builds : undefined;
  }
  return dirname(folder) === folder ? undefined : buildsFolder(dirname(folder));
}
