/** The rules that an imported configuration leads to, as `ipvsadm -Sn` prints them. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, resolve } from 'node:path';
import { compile } from '../../src/config/compile.ts';
import type { Imported } from '../../src/config/import/import-result.ts';
import { includeFiles } from '../../src/config/import/include-files.ts';
import { importKeepalived } from '../../src/config/import/keepalived.ts';
import { importLdirectord } from '../../src/config/import/ldirectord.ts';
import type { Names } from '../../src/config/names.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { writeYaml } from '../../src/config/yaml/write-yaml.ts';
import { schedulers } from '../../src/schedulers/index.ts';
import { directorApi } from './director-apis.ts';
import { HOSTS, SERVICES } from './ipvs-guest-names.ts';
import { Administered } from './ipvsadm.ts';
import { withThresholds } from './rule-lines.ts';

export type ImportedProgram = 'keepalived' | 'ldirectord';

/** Host names and service names of the guest that runs the real programs. */
const guestNames: Names = {
  port: (name) => SERVICES[name],
  host: async (name, family) =>
    isIP(name) !== 0
      ? name
      : HOSTS.find(([address, host]) => host === name && address.includes(':') === (family === 6))?.[0],
};

/** Imports a file, with the names of the guest, the config id `main` and the schedulers of Linux 6.1. */
export async function importFile(program: ImportedProgram, path: string): Promise<Imported> {
  const text = readFileSync(path, 'utf8');
  const names = Object.keys(schedulers);
  if (program === 'ldirectord') return await importLdirectord(text, { names: guestNames, schedulers: names });
  return importKeepalived(text, {
    schedulers: names,
    configId: 'main',
    folder: dirname(resolve(path)),
    include: (pattern, from) => includeFiles(pattern, dirname(resolve(from ?? path))),
  });
}

/** Writes the import as YAML, reads that back, and applies it to a director; throws where a director refuses it. */
export async function rulesOfFile(program: ImportedProgram, path: string): Promise<string> {
  const { document } = await importFile(program, path);
  const parsed = await parseYaml(writeYaml(document), 'lvs.yaml', guestNames, Object.keys(schedulers));
  const errors = parsed.problems.filter(({ severity }) => severity === 'error');
  if (!parsed.document || errors.length > 0) throw new Error(`${path}: ${JSON.stringify(errors)}`);
  const api = directorApi();
  const refused = (await api.apply(compile(parsed.document))).find((outcome) => outcome !== undefined);
  if (refused) throw new Error(`${path}: ${refused.message}`);
  const administered = new Administered(api);
  const [saved, thresholds] = [await administered.run('-Sn'), await administered.run('-Ln --thresholds')];
  return withThresholds(saved.stdout, thresholds.stdout);
}
