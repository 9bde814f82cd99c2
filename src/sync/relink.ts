/** Links connections of another director to their templates, which then live as long as they do: Linux 6.1 does not. */
import { type DirectorCore, destinationOf } from '../director/core.ts';
import { control } from '../director/path/connection-lifecycle.ts';
import { Persistence } from '../director/path/persistence.ts';
import { NONE, type Row } from '../model/connection.ts';

export class Relink {
  readonly #core: DirectorCore;
  readonly #persistence: Persistence;

  constructor(core: DirectorCore) {
    this.#core = core;
    this.#persistence = new Persistence(core);
  }

  /** Makes the template of a connection's client control it, if a message made the connection and none does. */
  link(row: Row): void {
    const core = this.#core;
    const { table } = core;
    if (!table.isSynced(row) || table.isTemplate(row) || table.template(row) !== NONE) return;
    const destination = destinationOf(core, row);
    if (destination.hidden || destination.service.persistence === 0) return;
    const template = this.#persistence.findFor(destination, table.select(row));
    if (template !== NONE) control(core, row, template);
  }
}
