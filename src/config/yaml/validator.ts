/** Compiles the schemas of configuration files. */
import { Ajv, type ValidateFunction } from 'ajv';

/**
 * Returns a function that returns the validator of a schema. It is compiled at the first call: that takes some tenths of a
 * second, which a thread that reads no such file should not lose. The schema is not validated itself, and the code of the
 * validator not optimized, because either would take longer than the validation of most files.
 */
export function validatorOf<T>(schema: object): () => ValidateFunction<T> {
  let compiled: ValidateFunction<T> | undefined;
  return () => {
    compiled ??= new Ajv({
      ...{ allErrors: true, strict: false, verbose: true },
      ...{ meta: false, validateSchema: false, code: { optimize: false } },
    }).compile<T>(schema);
    return compiled;
  };
}
