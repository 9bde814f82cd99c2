/** A valid lvs.yaml and the context of its parsers. */
import type { Names } from '../names.ts';
import type { Notes } from '../parse-result.ts';
import type { Place } from '../problem.ts';
import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';

/** A file that the schema accepted, and the context of its parsers. */
export interface YamlContext {
  readonly file: YamlFile;
  readonly notes: Notes;
  readonly names: Names;
  readonly schedulers: readonly string[];
  /**
   * False: a part that services inherit or refer to was rejected, so that dependent values are not checked.
   */
  readonly whole: boolean;
  /** Returns the position of the value at a path of keys and indexes. */
  place(path: Path): Place;
}
