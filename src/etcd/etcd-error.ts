/** Errors of etcd, by what an operator can do about them. */
import { LvsError } from '../model/errors.ts';

/** Kinds of errors, with their meanings. */
export const ETCD_ERRORS = {
  unreachable: 'no endpoint accepts connections, or TLS fails',
  timeout: 'no endpoint has answered in time: etcd is slow, or has lost its quorum',
  'not-permitted': 'the user of etcd is unknown, has another password, or lacks a permission',
  'invalid-answer': 'an endpoint is no etcd, or has sent what etcd does not send',
  'too-large': 'a request or an answer exceeds its limit',
  compacted: 'etcd no longer has the requested revision',
  refused: 'etcd has refused the request',
} as const;

export type EtcdErrorKind = keyof typeof ETCD_ERRORS;

export class EtcdError extends LvsError {
  readonly kind: EtcdErrorKind;

  constructor(kind: EtcdErrorKind, message: string, options?: ErrorOptions) {
    super('UNAVAILABLE', message, options);
    this.name = 'EtcdError';
    this.kind = kind;
  }
}

/** Reports whether another endpoint may answer. */
export const isOfEndpoint = ({ kind }: EtcdError): boolean =>
  kind === 'unreachable' || kind === 'timeout' || kind === 'invalid-answer';

/** gRPC codes (google.golang.org/grpc/codes). */
const CODE = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  outOfRange: 11,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** Reports whether an error answer of the gateway asks for a (new) token. */
export const isAboutToken = (answer: unknown): boolean => {
  const { code, text } = errorOf(answer) ?? {};
  // Without a token, etcd 3.4 answers InvalidArgument with this text.
  return (
    code === CODE.unauthenticated ||
    (code === CODE.invalidArgument && text === 'etcdserver: user name is empty')
  );
};

/** Returns the error of an answer with an HTTP status other than 200. `endpoint` and `user`: names in the message. */
export function answerError(endpoint: string, status: number, answer: unknown, user?: string): EtcdError {
  const error = errorOf(answer);
  if (!error)
    return new EtcdError(
      'invalid-answer',
      `etcd ${endpoint}: HTTP status ${status} without an error of etcd: expected its JSON gateway`,
    );
  const { code, text } = error;
  const kind = kindOf(code, text);
  const remedy = kind === 'not-permitted' ? remedyFor(text, user) : '';
  return new EtcdError(kind, `etcd ${endpoint}: ${printable(text)}${remedy}`);
}

/** Returns what an operator can do about the rights of a user. */
function remedyFor(text: string, user: string | undefined): string {
  if (user === undefined) return ' (set user and password-file in the settings of the cluster)';
  return text.includes('permission denied')
    ? `: user ${user} lacks a right (give --file the settings of an operator, or the user its role: docs/cluster.md)`
    : `: user ${user} (check user and password-file in the settings of the cluster)`;
}

function kindOf(code: number, text: string): EtcdErrorKind {
  if (code === CODE.unavailable || code === CODE.deadlineExceeded) return 'timeout';
  if (code === CODE.permissionDenied || code === CODE.unauthenticated) return 'not-permitted';
  if (/user name is empty|authentication failed/.test(text)) return 'not-permitted';
  if (code === CODE.outOfRange || text.includes('has been compacted')) return 'compacted';
  return /too large|larger than max/.test(text) ? 'too-large' : 'refused';
}

/** The gateway answers an object with `error` and `code`; before it has a token, a bare JSON string. */
function errorOf(answer: unknown): { readonly code: number; readonly text: string } | undefined {
  if (typeof answer === 'string') return { code: 0, text: answer };
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return undefined;
  const { error } = answer;
  // In a stream, the error is an object.
  if (typeof error === 'object' && error !== null)
    return { code: numberOf(error, 'grpc_code'), text: textOf(error, 'message') };
  return { code: numberOf(answer, 'code'), text: String(error) };
}

const numberOf = (object: object, key: string): number => Number(Reflect.get(object, key)) || 0;
const textOf = (object: object, key: string): string => String(Reflect.get(object, key) ?? '');

/** Longest text of etcd in a message, characters. */
const MAX_TEXT_CHARACTERS = 300;

/** Replaces control characters, which a terminal would interpret. */
const printable = (text: string): string => text.slice(0, MAX_TEXT_CHARACTERS).replace(/\p{Cc}/gu, '\uFFFD');
