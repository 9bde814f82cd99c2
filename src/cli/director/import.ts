/** `lvs-director import`: converts the configuration of another program to lvs.yaml. */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Imported } from '../../config/import/import-result.ts';
import { folderOf, includeFiles } from '../../config/import/include-files.ts';
import { importRules } from '../../config/import/ipvsadm-rules.ts';
import { importKeepalived, STAYS_WITH_KEEPALIVED, VIPS_TAKEN } from '../../config/import/keepalived.ts';
import type { KeepalivedSources } from '../../config/import/keepalived-lines.ts';
import { importLdirectord } from '../../config/import/ldirectord.ts';
import { remainingKeepalived } from '../../config/import/remaining-keepalived.ts';
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
  /** keepalived: where to write the keepalived.conf that remains beside the director. */
  readonly keepalived?: string | undefined;
  /** keepalived: whether the director takes the VIPs of VRRP instances over. */
  readonly vips?: boolean | undefined;
}

/** What the importers of keepalived need besides the text. */
interface Place {
  readonly configId: string;
  readonly folder: string;
  readonly takesVips: boolean;
}

/** Prints the file at `path` as YAML, and reports each line that was left out to `complain`, with its place. */
export async function importConfig(
  path: string,
  { from, configId = hostname().split('.')[0]!, keepalived, vips = false }: ImportOptions,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const text = read(path);
  const source = from ?? guessSource(text);
  if (source === undefined)
    throw new LvsError('CONFIG', `${path}: cannot detect the format (pass --from ${SOURCES.join('|')})`);
  const place: Place = { configId, folder: folderOf(path), takesVips: vips };
  const { document, leftOut } = await imported(text, source, place);
  for (const { file = path, line, text: words, why } of leftOut)
    complain(`${file}:${line}: left out: ${why}${words && `: ${words}`}`);
  if (document.services.length === 0)
    throw new LvsError('CONFIG', `${path}: contains no service that ${source} supports`);
  const hasInstance = (reason: string) => leftOut.some(({ why }) => why === reason);
  if (keepalived !== undefined) {
    if (!hasInstance(STAYS_WITH_KEEPALIVED))
      throw new LvsError('CONFIG', `${path}: contains no vrrp_instance: nothing of it remains`);
    const rest = remainingKeepalived(text, keepalivedSources(place), ({ file = path, line }, why) =>
      complain(`${file}:${line}: ${why}`),
    );
    write(keepalived, rest);
    complain(
      `${keepalived}: written: install it as keepalived.conf, and start the director with --standby and --ready-file /run/lvs/ready (docs/ha.md)`,
    );
  } else if (hasInstance(STAYS_WITH_KEEPALIVED))
    complain(
      `${path}: keepalived keeps the VIPs: remove its virtual servers, add track_file and notify to its VRRP instances (--keepalived FILE writes such a file), and start the director with --standby and --ready-file (docs/ha.md)`,
    );
  else if (hasInstance(VIPS_TAKEN))
    complain(
      `${path}: the director adds the VIPs: stop keepalived for good on all hosts that share them, because two programs must not add one VIP (systemctl disable --now keepalived); no other host takes them over then`,
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

function imported(text: string, source: Source, place: Place): Imported | Promise<Imported> {
  switch (source) {
    case 'ipvsadm':
      return importRules(text, ipvsadmNames());
    case 'ldirectord':
      return importLdirectord(text, { names: systemNames(), schedulers: Object.keys(schedulers) });
    case 'keepalived':
      return importKeepalived(text, {
        ...keepalivedSources(place),
        takesVips: place.takesVips,
        schedulers: Object.keys(schedulers),
      });
    default:
      return source satisfies never;
  }
}

const keepalivedSources = ({ configId, folder }: Place): KeepalivedSources => ({
  configId,
  folder,
  include: (pattern, file) => includeFiles(pattern, file === undefined ? folder : folderOf(file)),
});

/** Creates a file; an existing one is not replaced. */
function write(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx' });
  } catch (cause) {
    throw new LvsError('IO', `${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path === '-' ? STDIN : path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
}
