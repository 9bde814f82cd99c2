import { expect, test } from 'vitest';
import { Frame } from '../../src/wire/frame.ts';
import { crc32c, sctp } from '../../src/wire/sctp.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each<[string, Uint8Array, number]>([
  ['"123456789", the check value of the CRC catalogue', ascii('123456789'), 0xe3069283],
  // RFC 3720 appendix B.4, octets in the order they are sent: aa 36 91 8a and so on.
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['32 rising', Uint8Array.from({ length: 32 }, (_v, i) => i), 0x46dd794e],
  ['32 falling', Uint8Array.from({ length: 32 }, (_v, i) => 31 - i), 0x113fdb5c],
])('CRC32c matches the published value for %s', (_name, octets, crc) => expect(crc32c(octets)).toBe(crc));

test('the checksum treats its field as zero and is sent least significant byte first', () => {
  const frame = new Frame(64);
  frame.load(new Uint8Array(20));
  sctp.write(frame, frame.start, 5000, 5001, 0xdeadbeef);
  const bare = frame.copy();
  sctp.setChecksum(frame, frame.start, frame.end);
  expect(sctp.checksum(frame, frame.start)).toBe(crc32c(bare));
  expect(frame.bytes[frame.start + 8]).toBe(crc32c(bare) & 0xff);
  expect(sctp.computeChecksum(frame, frame.start, frame.end)).toBe(crc32c(bare));
});
