/** Checks that `lvs-director features` reports what this kernel has. */
import { execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { director } from '../support/lvs-programs.ts';
import type { Check } from './check.ts';

/** Links of tc programs exist from this version of Linux on. */
const TCX = [6, 6] as const;

/** Reports whether the kernel has tcx links, by its version. */
export function hasTcx(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > TCX[0] || (major === TCX[0] && minor >= TCX[1]);
}

export function featureChecks(): Check[] {
  let printed: string | undefined;
  const features = () => {
    printed ??= execFileSync(director[0]!, [...director.slice(1), 'features'], { encoding: 'utf8' });
    return printed;
  };
  const expectLine = (output: string, pattern: RegExp): string => {
    const line = output.split('\n').find((each) => pattern.test(each));
    if (line === undefined) throw new Error(`expected ${pattern} in\n${output}`);
    return line.replaceAll(/ +/g, ' ');
  };
  return [
    {
      name: 'features: tcx, or else clsact filters',
      run: async () => {
        const output = features();
        if (hasTcx()) return expectLine(output, /^tcx \(Linux 6\.6\) +yes$/);
        expectLine(output, /^tcx \(Linux 6\.6\) +no: /);
        return expectLine(output, /^tc filters \(clsact, Linux 4\.5\) +yes$/);
      },
    },
    {
      name: 'features: auto chooses tc',
      run: async () => expectLine(features(), /^--datapath auto is tc: /),
    },
  ];
}
