/** `lvs-director reload`: makes the running director reload its file. */
import type { ConfigurationApi } from '../../control/director-api.ts';

/** Makes the running director reload its file. Throws LvsError CONFIG with all errors of the file; nothing is changed then. */
export async function askReload(
  api: Pick<ConfigurationApi, 'reload'>,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const { commands, draining, manualChanges, warnings } = await api.reload();
  for (const warning of warnings) complain(warning);
  for (const what of manualChanges) complain(`changed with ipvsadm: ${what}`);
  print(`reloaded: ${commands} changes, ${draining} to be removed when idle\n`);
}
