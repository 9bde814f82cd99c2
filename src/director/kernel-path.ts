/** The interface of a kernel path whose programs forward packets of the connection table, and its place in a director. */
import type { Row } from '../model/connection.ts';
import type { Admission } from '../model/kernel-admission.ts';
import type { Service } from './service.ts';

/** Programs of the kernel find connections in the rows of the table. What they cannot handle comes to the director. */
export interface KernelPath {
  /** Sees that programs can forward the next packets of a connection, after the director forwarded one of its packets. */
  learn(row: Row): void;
  /** Makes programs send all packets of a connection to the director, until `learn` is called for it. */
  hold(row: Row): void;
  /** Adds what programs counted for the destination of that number to its counters, its service's and the director's. */
  collect(destination: number): void;
  /** Returns what admits new connections of the service; undefined: there are no programs. */
  admission(service: Service): Admission | undefined;
  /** Sees that the director admitted a connection of the service. `isFirst`: it made the template of its client. */
  admitted(service: Service, isFirst: boolean): void;
}

/** Does nothing: for a director without a kernel path. */
export const noKernelPath: KernelPath = {
  learn: () => {},
  hold: () => {},
  collect: () => {},
  admission: () => undefined,
  admitted: () => {},
};

/** The kernel path of a director, if any. Connections can be excluded from it. */
export class AttachedKernelPath implements KernelPath {
  /** Called when connections begin or cease to be excluded. */
  onExclusion: () => void = () => {};
  #path: KernelPath = noKernelPath;
  #isExcluded: ((row: Row) => boolean) | undefined;

  /** Replaces the kernel path. */
  attach(path: KernelPath): void {
    this.#path = path;
  }

  get isAttached(): boolean {
    return this.#path !== noKernelPath;
  }

  /** Holds connections for which `isExcluded` returns true, until the next call. undefined: holds none. */
  exclude(isExcluded: ((row: Row) => boolean) | undefined): void {
    this.#isExcluded = isExcluded;
    this.onExclusion();
  }

  /** Reports whether connections are excluded: the director then makes all new ones itself. */
  get isExcluding(): boolean {
    return this.#isExcluded !== undefined;
  }

  learn(row: Row): void {
    if (this.#isExcluded?.(row)) this.#path.hold(row);
    else this.#path.learn(row);
  }

  hold(row: Row): void {
    this.#path.hold(row);
  }

  collect(destination: number): void {
    this.#path.collect(destination);
  }

  admission(service: Service): Admission | undefined {
    return this.#path.admission(service);
  }

  admitted(service: Service, isFirst: boolean): void {
    this.#path.admitted(service, isFirst);
  }
}
