/** Finds the folder of this program's package, for the files that it has besides code. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Returns the innermost folder with a package.json around `folder`, or the root folder. */
export function packageFolder(folder = import.meta.dirname): string {
  const parent = dirname(folder);
  return existsSync(join(folder, 'package.json')) || parent === folder ? folder : packageFolder(parent);
}
