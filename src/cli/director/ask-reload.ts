/** `lvs-director reload`: the running director reads its file again. */
import type { ConfigurationDoor } from '../../control/director-api.ts';

/** Throws LvsError CONFIG with every mistake of the file; nothing was changed then. */
export async function askReload(
  door: Pick<ConfigurationDoor, 'reload'>,
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const { commands, draining, byHand, warnings } = await door.reload();
  for (const warning of warnings) complain(warning);
  for (const what of byHand) complain(`by hand: ${what}`);
  print(`reloaded: ${commands} changes, ${draining} to be removed when idle\n`);
}
