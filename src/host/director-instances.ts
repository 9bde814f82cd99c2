/** Names the directors of this network namespace, so that living ones can be distinguished from what dead ones left. */
import { readHostFile } from './host-file.ts';

/** Name of a director's abstract socket (unix(7)): known in this network namespace only, gone with the process. */
const PREFIX = 'lvs-director/';

/** Name of this director. It contains the time of its start: process ids repeat, after a restart and in containers. */
export const INSTANCE = `${process.pid}_${Math.floor(performance.timeOrigin).toString(36)}`;

/** Returns the path of a director's abstract socket. */
export const socketOf = (instance: string): string => `\0${PREFIX}${instance}`;

/** Returns the process id in a director's name. */
export const pidOf = (instance: string): number => Number.parseInt(instance, 10);

/** Returns the names of the directors in a listing of /proc/net/unix, where @ stands for NUL and pads names. */
export const instancesIn = (listing: string): string[] => [
  ...new Set([...listing.matchAll(/ @lvs-director\/(\d+_[0-9a-z]+)@*$/gm)].map(([, name]) => name!)),
];

/** Returns the listing of Unix sockets of this network namespace. Throws where it cannot be read. */
export const unixSockets = (): string => readHostFile('/proc/self/net/unix');
