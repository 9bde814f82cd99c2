/** Which services' new connections programs admit; and why, and how often, the director admits those of the others. */

import { NEARLY_FULL_SHARE } from '../../director/connections.ts';
import type { Director } from '../../director/director.ts';
import type { Service } from '../../director/service.ts';
import type { Admission, UpcallReason } from '../../model/kernel-admission.ts';
import { FTP_PORT, hasFtpHelper } from '../../model/service.ts';
import { SCHEDULER } from '../../table/record-layout.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';

/** The programs that were loaded. */
export interface LoadedPrograms {
  /** Reports whether programs can call a program of that scheduler. */
  has(scheduler: string): boolean;
  /** Reports whether programs find services by firewall marks. */
  hasMarks(): boolean;
}

/** Assumes that all programs are loaded. */
export const everyProgram: LoadedPrograms = {
  has: (scheduler) => scheduler !== 'director' && Object.hasOwn(SCHEDULER, scheduler),
  hasMarks: () => true,
};

export class KernelAdmissions {
  /** Connections that the director admitted, by reason. */
  readonly left: Partial<Record<UpcallReason, number>> = {};
  readonly #core: Director['context'];
  readonly #programs: LoadedPrograms;
  /** Services whose destinations are the obstacle. */
  readonly #obstacles = new WeakMap<Service, UpcallReason>();

  constructor(core: Director['context'], programs: LoadedPrograms) {
    this.#core = core;
    this.#programs = programs;
  }

  /** Notes why programs cannot forward to all destinations of the service; undefined: they can. */
  note(service: Service, obstacle: UpcallReason | undefined): void {
    if (obstacle === undefined) this.#obstacles.delete(service);
    else this.#obstacles.set(service, obstacle);
  }

  of(service: Service): Admission {
    return this.#reasonOf(service) ?? 'kernel';
  }

  /** Counts a connection that the director admitted. `isFirst`: it made the template of its client. */
  count(service: Service, isFirst: boolean): void {
    const reason = this.#reasonOf(service) ?? (isFirst ? 'persistence' : this.#reasonOfPacket());
    this.left[reason] = (this.left[reason] ?? 0) + 1;
  }

  #reasonOfPacket(): UpcallReason {
    const { size, capacity } = this.#core.table;
    return size >= capacity * NEARLY_FULL_SHARE ? 'nearly-full' : 'packet';
  }

  #reasonOf(service: Service): UpcallReason | undefined {
    const reason = this.#reasonOfAll() ?? this.#reasonOfOptions(service);
    // A template selects the destination, and the director that of a template.
    if (reason !== undefined || service.persistence > 0) return reason;
    return this.#reasonOfDestinations(service);
  }

  #reasonOfOptions(service: Service): UpcallReason | undefined {
    const { mark, protocol, port, family, address, options } = service;
    if (hasFtpHelper(service)) return 'helper';
    if (mark !== 0 && !this.#programs.hasMarks()) return 'mark';
    if (mark === 0 && protocol !== TCP && protocol !== UDP) return 'protocol';
    const ftp = { protocol, family, address, port: FTP_PORT, mark: 0 };
    if (mark === 0 && port === 0 && this.#core.services.get(ftp) !== undefined) return 'every-port';
    return options.engine === undefined ? undefined : 'engine';
  }

  /** Returns why the director admits all connections. */
  #reasonOfAll(): UpcallReason | undefined {
    const { isBackup, settings, dropRate, kernelPath, access } = this.#core;
    if (access.isIncomplete) return 'lists';
    if (isBackup && settings.backup_only !== 0) return 'backup';
    if (dropRate !== 0) return 'drop-rate';
    return kernelPath.isExcluding ? 'capture' : undefined;
  }

  #reasonOfDestinations(service: Service): UpcallReason | undefined {
    if (!this.#programs.has(service.options.scheduler)) return 'scheduler';
    const obstacle = this.#obstacles.get(service);
    if (obstacle !== undefined) return obstacle;
    return service.isListed ? undefined : 'long-list';
  }
}
