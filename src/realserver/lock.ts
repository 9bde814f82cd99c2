/** One agent a network namespace: a name that the kernel takes back when its holder dies, however it dies. */
import { connect, createServer } from 'node:net';
import { LvsError } from '../model/errors.ts';

/** An abstract socket (unix(7)): known in this network namespace only, no file. */
const NAME = '\0lvs-realserver';

/** Characters of a pid, and ms in which it is told. */
const LONGEST = 10;
const PATIENCE = 2000;
/** The pid of a holder that tells none. */
const STRANGER = 0;

/** Throws LvsError IO when another agent runs; the holder's pid is told to whoever asks. */
export function takeLock(): Promise<Disposable> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(String(process.pid));
  });
  return new Promise((resolve, reject) => {
    server.once('error', async (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EADDRINUSE') return reject(cause);
      const holder = await lockHolder();
      reject(new LvsError('IO', `an agent runs here already, as process ${holder}`, { cause }));
    });
    server.listen(NAME, () => {
      server.unref();
      resolve({ [Symbol.dispose]: () => server.close() });
    });
  });
}

/** The pid of the agent that runs here; 0: of whoever has its name and does not say; undefined: none does. */
export function lockHolder(): Promise<number | undefined> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(NAME);
    const done = (pid: number | undefined) => {
      resolve(pid);
      socket.destroy();
    };
    // Any user may take the name before an agent does, and say nothing or no end of things.
    socket.setTimeout(PATIENCE, () => done(STRANGER));
    socket.on('data', (octets) => {
      said += octets;
      if (said.length > LONGEST) done(STRANGER);
    });
    socket.on('error', () => done(undefined));
    socket.on('end', () => done(/^\d+$/.test(said) ? Number(said) : STRANGER));
  });
}
