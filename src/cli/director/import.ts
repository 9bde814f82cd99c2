/** `lvs-director import`: converts the configuration of another program to lvs.yaml. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Imported } from '../../config/import/import-result.ts';
import { folderOf, includeFiles } from '../../config/import/include-files.ts';
import { importRules } from '../../config/import/ipvsadm-rules.ts';
import { importKeepalived, STAYS_WITH_KEEPALIVED } from '../../config/import/keepalived.ts';
import { importLdirectord } from '../../config/import/ldirectord.ts';
import { systemNames } from '../../config/names.ts';
import { writeYaml } from '../../config/yaml/write-yaml.ts';
import { systemNames as ipvsadmNames } from '../../ipvsadm/names.ts';
import { LvsError } from '../../model/errors.ts';
import { schedulers } from '../../schedulers/index.ts';
import { SOURCES, type Source } from './formats.ts';

/** File descriptor of the standard input, for the path `-`. */
const STDIN = 0;

export interface ImportOptions {
  /** Missing: detected by the content of the file. */
  readonly from?: Source | undefined;
  /** keepalived's --config-id. Missing: the first part of the host's name, as keepalived has it. */
  readonly configId?: string | undefined;
}

/** Prints the file at `path` as YAML, and reports each line that was left out to `complain`, with its place. */
export async function importConfig(
  path: string,
  { from, configId = hostname().split('.')[0]! }: ImportOptions,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const text = read(path);
  const source = from ?? guessSource(text);
  if (source === undefined)
    throw new LvsError('CONFIG', `${path}: cannot detect the format (pass --from ${SOURCES.join('|')})`);
  const { document, leftOut } = await imported(text, source, { configId, folder: folderOf(path) });
  for (const { file = path, line, text: words, why } of leftOut)
    complain(`${file}:${line}: left out: ${why}${words && `: ${words}`}`);
  if (document.services.length === 0)
    throw new LvsError('CONFIG', `${path}: contains no service that ${source} supports`);
  if (leftOut.some(({ why }) => why === STAYS_WITH_KEEPALIVED))
    complain(
      `${path}: keepalived keeps the VIPs: remove its virtual servers, add track_file and notify to its VRRP instances, and start the director with --standby and --ready-file (docs/ha.md)`,
    );
  else if (document.services.some(({ service }) => 'address' in service))
    complain(`${path}: add the VIPs with their interfaces under vips: the director takes only those`);
  print(writeYaml(document));
}

/** Detects the program by the first word that only one of them has; undefined where none is found. */
export function guessSource(text: string): Source | undefined {
  if (/^\s*(virtual_server|virtual_server_group|global_defs|vrrp_\w+)\b/m.test(text)) return 'keepalived';
  if (/^virtual6?\s*=/m.test(text)) return 'ldirectord';
  if (/^\s*(ipvsadm\s+)?(-A|--add-service)\s/m.test(text)) return 'ipvsadm';
  return undefined;
}

function imported(
  text: string,
  source: Source,
  place: { readonly configId: string; readonly folder: string },
): Imported | Promise<Imported> {
  switch (source) {
    case 'ipvsadm':
      return importRules(text, ipvsadmNames());
    case 'ldirectord':
      return importLdirectord(text, { names: systemNames(), schedulers: Object.keys(schedulers) });
    case 'keepalived':
      return importKeepalived(text, {
        ...place,
        schedulers: Object.keys(schedulers),
        include: (pattern, file) => includeFiles(pattern, file === undefined ? place.folder : folderOf(file)),
      });
    default:
      return source satisfies never;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path === '-' ? STDIN : path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
