/** Where the project and its executables are, seen from its sources and from its build. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

function above(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : above(dirname(folder));
}

/** The project's top folder. */
export const PROJECT = above(import.meta.dirname);

/** The command line that runs a built file, named as in the sources: `built('src/cli/director')`. */
export const built = (path: string): string[] => [process.execPath, join(PROJECT, 'dist', `${path}.js`)];

/** Why the executables cannot be run, or undefined. */
export const notBuilt = (...paths: string[]): string | undefined => {
  const missing = paths.filter((path) => !existsSync(join(PROJECT, 'dist', `${path}.js`)));
  return missing.length === 0 ? undefined : `not built: ${missing.join(', ')} (npm run build)`;
};
