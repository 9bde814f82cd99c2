/** `lvs-director check`: checks a configuration file. */
import { LvsError } from '../../model/errors.ts';
import { loadConfiguration } from '../../runtime/configuration.ts';

/** Prints all warnings and errors; returns 0 for a valid file, 2 otherwise. */
export async function checkConfig(
  path: string,
  print: (line: string) => void,
  complain: (line: string) => void,
): Promise<0 | 2> {
  try {
    const { warnings, document, commands } = await loadConfiguration(path);
    for (const warning of warnings) complain(warning);
    const destinations = commands.filter(({ op }) => op === 'add-destination').length;
    print(
      `${path}: ${document.services.length} services, ${destinations} destinations, ${warnings.length} warnings`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    complain(error.message);
    return 2;
  }
}
