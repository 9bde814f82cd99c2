/** `lvs-director reload`: makes the running director reload its file. */
import type { ConfigurationDoor } from '../../control/director-api.ts';

/** Throws LvsError CONFIG with all errors of the file; nothing is changed then. */
export async function askReload(
  door: Pick<ConfigurationDoor, 'reload'>,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const { commands, draining, byHand, warnings } = await door.reload();
  for (const warning of warnings) complain(warning);
  for (const what of byHand) complain(`changed with ipvsadm: ${what}`);
  print(`reloaded: ${commands} changes, ${draining} to be removed when idle\n`);
}
