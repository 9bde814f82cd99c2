/**
 * A client that downloads slowly until it reads a line, and then as fast as it can: says the hash of all that came, or
 * that nothing comes any more.
 *
 *   node dist/test/support/download.js 'http://192.168.0.101/big?octets=104857600'
 */
import { createHash } from 'node:crypto';
import { get } from 'node:http';

/** ms between two parts of what comes, before the line is read. */
const SLOWLY = 50;
/** ms without an octet, in a hurry, after which nothing is expected to come: more than a retransmission takes. */
const STUCK = 3_000;

const hash = createHash('sha256');
let inHurry = false;
let stuck: NodeJS.Timeout | undefined;

get(process.argv[2]!, (response) => {
  response.on('data', (octets: Buffer) => {
    hash.update(octets);
    if (inHurry) stuck?.refresh();
    else {
      response.pause();
      setTimeout(() => response.resume(), SLOWLY);
    }
  });
  response.on('end', () => leave(hash.digest('hex')));
});

process.stdin.once('data', () => {
  inHurry = true;
  stuck = setTimeout(() => leave('stuck'), STUCK);
});

function leave(word: string): void {
  process.stdout.write(`${word}\n`, () => process.exit());
}
