/**
 * Recorded exchanges with a Linux 6.1 director (test/forwarding/recorded/*.txt): its commands, received and sent packets.
 *
 *     mtu 1500 1400                  octets, towards clients and towards real servers
 *     do ipvsadm -A ...              a command
 *     -- udp 10.0.0.10:5000 ...      the next step's name
 *     client > 4500...(00+64)        received from the client's side: hexadecimal, (00+64) is 00 01 02 ... 3f
 *     server < 4500...               it sent this to the real servers' side
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface RecordedPacket {
  readonly side: 'client' | 'server';
  readonly octets: Uint8Array;
}

export interface RecordedStep {
  readonly name: string;
  /** Commands to be given before it. */
  readonly commands: readonly string[];
  readonly heard: RecordedPacket[];
  readonly sent: RecordedPacket[];
}

export interface Recording {
  readonly name: string;
  readonly clientMtu: number;
  readonly serverMtu: number;
  readonly steps: readonly RecordedStep[];
}

const FOLDER = join(import.meta.dirname, 'recorded');

export const recordings = (): Recording[] =>
  readdirSync(FOLDER)
    .sort()
    .map((file) => parse(file.replace(/\.txt$/, ''), readFileSync(join(FOLDER, file), 'utf8')));

function parse(name: string, text: string): Recording {
  const steps: RecordedStep[] = [];
  let commands: string[] = [];
  let mtus = [1500, 1500];
  for (const line of text.trimEnd().split('\n')) {
    const [word, rest] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)];
    if (word === 'mtu') mtus = rest.split(' ').map(Number);
    else if (word === 'do') commands.push(rest);
    else if (word === '--') {
      steps.push({ name: rest, commands, heard: [], sent: [] });
      commands = [];
    } else {
      const packet = { side: word as 'client' | 'server', octets: octetsOf(rest.slice(2)) };
      steps.at(-1)![rest.startsWith('>') ? 'heard' : 'sent'].push(packet);
    }
  }
  return { name, clientMtu: mtus[0]!, serverMtu: mtus[1]!, steps };
}

/** The octets of hexadecimal text with runs: (fe+4) is fe ff 00 01. */
export function octetsOf(text: string): Uint8Array {
  const plain = text.replace(/\(([0-9a-f]{2})\+(\d+)\)/g, (_run, first: string, count: string) =>
    Array.from({ length: Number(count) }, (_, i) =>
      ((Number.parseInt(first, 16) + i) & 0xff).toString(16).padStart(2, '0'),
    ).join(''),
  );
  return Buffer.from(plain, 'hex');
}
