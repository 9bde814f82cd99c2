/** Where directors keep their kernel paths unless an option names another folder. */
import { existsSync, statfsSync } from 'node:fs';

/** Type of the file system that statfs(2) returns (include/uapi/linux/magic.h). */
export const BPF_FS_MAGIC = 0xcafe4a11;

/** The bpf file system of the systemd unit, which its user may enter, and the folder in that of the host. */
export const PINS_FOLDERS = ['/run/lvs-bpf', '/sys/fs/bpf/lvs-director'] as const;

export const isBpfFileSystem = (path: string): boolean =>
  existsSync(path) && statfsSync(path).type === BPF_FS_MAGIC;

/** Returns the folder in which a director keeps its kernel path. */
export const pinsFolder = (): string => PINS_FOLDERS.find(isBpfFileSystem) ?? PINS_FOLDERS[1];
