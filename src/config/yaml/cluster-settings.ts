/** Parses the settings with which a director takes part in a cluster of directors (cluster.yaml). */
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { FromSchema } from 'json-schema-to-ts';
import { LineCounter, parseDocument } from 'yaml';
import type { ClusterSettings } from '../../model/cluster.ts';
import { type Place, type Problem, rejection } from '../problem.ts';
import { rangeOf } from './position.ts';
import { schemaProblems } from './schema-problems.ts';
import { validatorOf } from './validator.ts';

const file = { type: 'string', minLength: 1, maxLength: 4096 } as const;
const name = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$' } as const;

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['cluster', 'endpoints'],
  properties: {
    cluster: name,
    node: name,
    endpoints: {
      type: 'array',
      minItems: 1,
      maxItems: 9,
      uniqueItems: true,
      items: { type: 'string', pattern: '^https?://[^/?#@\\s]+$' },
    },
    tls: {
      type: 'object',
      additionalProperties: false,
      properties: { ca: file, cert: file, key: file },
    },
    user: { type: 'string', minLength: 1, maxLength: 255 },
    'password-file': file,
    state: file,
  },
} as const;

type SettingsFile = FromSchema<typeof schema>;

const validator = validatorOf<SettingsFile>(schema);
/** systemd's StateDirectory. */
const STATE = '/var/lib/lvs';

/** Returns the settings; paths are relative to the folder of the file. Throws LvsError CONFIG with all errors. */
export function parseClusterSettings(text: string, path: string): ClusterSettings {
  const lines = new LineCounter();
  const yaml = parseDocument(text, { lineCounter: lines, stringKeys: true });
  const place = (from: number, to: number): Place => {
    const { line, col } = lines.linePos(from);
    return { line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, to - from) };
  };
  const problem = (at: readonly [number, number], message: string): Problem => ({
    ...{ severity: 'error', file: path, message },
    ...place(...at),
  });
  const problems = yaml.errors.map(({ pos, message }) => problem(pos, message.split('\n')[0]!));
  if (problems.length > 0) throw rejection(problems, text);
  const value: unknown = yaml.toJS({ maxAliasCount: 0 });
  const validate = validator();
  if (!validate(value))
    throw rejection(
      schemaProblems(validate.errors ?? []).map((each) =>
        problem(rangeOf(yaml.contents, each.path, each.key), each.message),
      ),
      text,
    );
  const wrong = semanticProblem(value);
  if (wrong) throw rejection([problem(rangeOf(yaml.contents, [], wrong.key), wrong.message)], text);
  const { cluster, node = defaultNode(), endpoints, tls, user, state = STATE } = value;
  const at = (relative: string) => resolve(dirname(path), relative);
  const passwordFile = value['password-file'];
  return {
    ...{ cluster, node, endpoints, state: at(state) },
    ...(tls && { tls: Object.fromEntries(Object.entries(tls).map(([key, each]) => [key, at(each)])) }),
    ...(user !== undefined && { user }),
    ...(passwordFile !== undefined && { passwordFile: at(passwordFile) }),
  };
}

function semanticProblem(value: SettingsFile): { key: string; message: string } | undefined {
  const { user, endpoints, tls } = value;
  const passwordFile = value['password-file'];
  if (user !== undefined && passwordFile === undefined)
    return {
      key: 'user',
      message: 'password-file is missing: expected the file with the password of the user',
    };
  if (user === undefined && passwordFile !== undefined)
    return { key: 'password-file', message: 'user is missing: expected the user that has this password' };
  const invalid = endpoints.find((each) => !URL.canParse(each));
  if (invalid !== undefined) return { key: 'endpoints', message: `invalid URL '${invalid}'` };
  if (tls && (tls.cert === undefined) !== (tls.key === undefined))
    return { key: 'tls', message: 'a certificate and its key belong together: expected cert and key' };
  if (tls && !endpoints.every((each) => each.startsWith('https:')))
    return { key: 'tls', message: 'an endpoint is not https: expected https:// with tls' };
  return undefined;
}

/** Returns the name of this host, without its domain and without what names may not have. */
const defaultNode = (): string =>
  hostname()
    .split('.')[0]!
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 63);
