/** Reads files of /proc and /sys, also when the process has no descriptors left: an error would mean "not found". */
import { readFileSync } from 'node:fs';
import { withDescriptors } from '../sys/descriptor-reserve.ts';

/** Returns the content of the file. Throws a system error, but not for a lack of descriptors. */
export const readHostFile = (path: string): string => withDescriptors(() => readFileSync(path, 'latin1'));
