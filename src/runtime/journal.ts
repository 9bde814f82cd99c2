/** Marks the lines that a service writes to the journal of systemd with their priorities. */
import { fstatSync } from 'node:fs';
import type { Level } from '../model/level.ts';

/** Priorities of syslog(3), which the journal takes from the beginning of a line (sd-daemon(3)). */
const PRIORITIES: Readonly<Record<Level, string>> = { info: '<6>', warning: '<4>', error: '<3>' };

/** Returns the text with the priority at the beginning of each line. */
export const withPriority = (level: Level, text: string): string => text.replace(/^/gm, PRIORITIES[level]);

/** Reports whether a descriptor is connected to the journal: systemd names its device and inode (systemd.exec(5)). */
export function isJournalStream(
  environment: Readonly<Record<string, string | undefined>>,
  descriptor: number,
): boolean {
  const stream = environment['JOURNAL_STREAM'];
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(descriptor);
  return stream === `${dev}:${ino}`;
}

/** Returns a message for standard error: with its priority if that is the journal. */
export const stderrText = (level: Level, text: string): string =>
  isJournalStream(process.env, process.stderr.fd) ? withPriority(level, text) : text;
