/** IPv4 options: what a router records, refuses and leaves alone. */
import { expect, test } from 'vitest';
import { parseAddress, sameAddress } from '../../src/wire/address.ts';
import { Frame } from '../../src/wire/frame.ts';
import { ipv4 } from '../../src/wire/ipv4.ts';
import { echoOptions, enterOptions, SOURCE_ROUTED, type Station } from '../../src/wire/ipv4-options.ts';

const ADDRESS = parseAddress('10.9.0.1')!;
const HERE: Station = {
  address: ADDRESS,
  inside: ADDRESS,
  time: 0x01020304,
  isLocal: (address) => sameAddress(address, ADDRESS),
};

/** What comes of a header with these options, in hexadecimal; and the options afterwards. */
function entered(digits: string): { readonly wrong: number; readonly options: string } {
  const options = Buffer.from(digits.replaceAll(' ', ''), 'hex');
  const header = Buffer.alloc(20 + options.length);
  header[0] = 0x40 | (header.length / 4);
  options.copy(header, 20);
  const frame = new Frame(64);
  frame.load(header);
  ipv4.recompute(frame, frame.start);
  const wrong = enterOptions(frame, frame.start, HERE);
  return { wrong, options: Buffer.from(frame.copy()).subarray(20).toString('hex') };
}

test.each([
  ['nothing to do', '01010100', '01010100'],
  ['router alert', '94040000', '94040000'],
  ['an unknown option', '82040000', '82040000'],
  ['what follows the end is wiped', '00090909', '00000000'],
  ['an empty record of the route', '0707040000000000', '0707080a09000100'],
  ['a record with one address', '070b0801020304000000000000', '070b0c010203040a0900010000'],
  ['a full record', '0707080102030400', '0707080102030400'],
  ['a record without room for any', '07030400', '07030400'],
  ['a time alone', '44080500 00000000', '4408090001020304'],
  ['the second time', '440c0900 11111111 00000000', '440c0d001111111101020304'],
  ['an address and a time', '440c0501 00000000 00000000', '440c0d010a09000101020304'],
  ['a time at its own address', '440c0503 0a090001 00000000', '440c0d030a09000101020304'],
  ['nothing at the address of another host', '440c0503 0a090002 00000000', '440c05030a09000200000000'],
  ['a time at a multicast address', '440c0503 e0000001 00000000', '440c0d03e000000101020304'],
  ['nothing for an unknown flag', '44080502 00000000', '4408050200000000'],
  ['a station too many', '440809e0 11111111', '440809f011111111'],
  ['a station too many, with given addresses', '440809f3 11111111', '440809f311111111'],
])('%s', (_name, before, after) => {
  const digits = before.replaceAll(' ', '');
  const padded = digits.padEnd(Math.ceil(digits.length / 8) * 8, '0');
  expect(entered(padded)).toEqual({ wrong: 0, options: after.padEnd(padded.length, '0') });
});

test.each([
  ['an option longer than the header', '09280000', 20],
  ['an option shorter than its own head', '09010000', 20],
  ['an option that ends before its length', '01010109', 23],
  ['a pointer between two addresses', '0707050000000000', 22],
  ['a pointer into the option’s head', '0707030000000000', 22],
  ['a router alert that is too short', '94030000', 21],
  ['a second record of the route', '07030401 07030400', 24],
  ['a timestamp option that is too short', '44030500', 21],
  ['a second timestamp option', '44040500 44040500', 24],
  ['a pointer into the head of a timestamp option', '44080400 00000000', 22],
  ['no room for an address and a time', '44080501 00000000', 22],
  ['no room for a whole time', '44060500 00000000', 22],
  ['the sixteenth station without room', '440409f0', 23],
])('the wrong byte is located: %s', (_name, options, octet) => expect(entered(options).wrong).toBe(octet));

test.each(['8307040a09090900', '8907040a09090900'])(
  'a packet with a source route option is recognized: %s',
  (options) => expect(entered(options).wrong).toBe(SOURCE_ROUTED),
);

test.each([
  ['a record of the route, with one more address', '070b0801020304000000000000', '070b0c010203040a090001'],
  ['a security label', '8608000000010102', '8608000000010102'],
  ['nothing of a router alert', '94040000', ''],
  ['times, with one more', '440c0900 11111111 00000000', '440c0d001111111101020304'],
  ['the route before the times', '44080900 11111111 07070800 09000100', '0707080009000144080900 11111111'],
])('an answer echoes %s', (_name, options, echo) => {
  const digits = options.replaceAll(' ', '');
  const octets = Buffer.from(digits.padEnd(Math.ceil(digits.length / 8) * 8, '0'), 'hex');
  const frame = new Frame(64);
  frame.load(Buffer.concat([Buffer.alloc(20), octets]));
  frame.bytes[frame.start] = 0x40 | ((20 + octets.length) / 4);
  const reply = new Frame(64);
  const length = echoOptions(frame, frame.start, HERE, reply, 100);
  expect(Buffer.from(reply.bytes.subarray(100, 100 + length)).toString('hex')).toBe(
    echo.replaceAll(' ', '').padEnd(2 * length, '0'),
  );
});
