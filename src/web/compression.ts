/** Compresses answers as the client accepts it (RFC 9110, section 12.5.3), in threads of the zlib library. */
import { constants, createBrotliCompress, createGzip } from 'node:zlib';
import { Slice } from '../model/slice.ts';

export type Encoding = 'br' | 'gzip';

/** Shorter answers are sent as they are, characters. */
const MIN_CHARACTERS = 1024;
/** A quality at which brotli takes as long as gzip. */
const BROTLI_QUALITY = 5;

/** Returns the encoding that a client prefers; undefined: none of these. */
export function acceptedEncoding(header: string | undefined): Encoding | undefined {
  const weights = new Map<string, number>();
  for (const each of (header ?? '').toLowerCase().split(',', 20)) {
    const [name = '', ...parameters] = each.split(';').map((part) => part.trim());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = q === undefined ? 1 : Number(q.slice(2));
    weights.set(name, Number.isFinite(weight) ? weight : 0);
  }
  const of = (name: Encoding) => weights.get(name) ?? weights.get('*') ?? 0;
  if (of('br') > 0 && of('br') >= of('gzip')) return 'br';
  return of('gzip') > 0 ? 'gzip' : undefined;
}

/** Reports whether compression is worth its time. */
export const isCompressible = (body: readonly string[]): boolean =>
  body.reduce((sum, { length }) => sum + length, 0) >= MIN_CHARACTERS;

/** Resolves with the compressed text. Works in slices. */
export async function compress(body: readonly string[], encoding: Encoding): Promise<readonly Buffer[]> {
  const stream =
    encoding === 'br'
      ? createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } })
      : createGzip();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<void>((resolve, reject) => {
    stream.once('end', resolve);
    stream.once('error', reject);
  });
  const slice = new Slice();
  for (const part of body) {
    if (!stream.write(part)) await new Promise((resolve) => stream.once('drain', resolve));
    if (slice.spent) await slice.next();
  }
  stream.end();
  await ended;
  return chunks;
}
