/** A valid lvs.yaml and what the readers of its parts need besides. */
import type { Names } from '../names.ts';
import type { Notes } from '../parse-result.ts';
import type { Place } from '../problem.ts';
import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';

/** A file that the schema found valid, and what its readers need besides. */
export interface YamlContext {
  readonly file: YamlFile;
  readonly notes: Notes;
  readonly names: Names;
  readonly schedulers: readonly string[];
  /** False: a part that services inherit or name was refused, and what rests on it is not judged. */
  readonly whole: boolean;
  /** Returns where the value at a path of keys and indexes stands. */
  place(path: Path): Place;
}
