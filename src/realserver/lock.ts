/** Ensures one agent per network namespace, with a name that the kernel releases when its holder ends. */
import { connect, createServer } from 'node:net';
import { LvsError } from '../model/errors.ts';

/** An abstract socket (unix(7)): visible in this network namespace only, no file. */
const NAME = '\0lvs-realserver';

const MAX_PID_CHARACTERS = 10;
const ANSWER_TIMEOUT_MS = 2000;
/** Stands for the pid of a holder that does not report it. */
const UNKNOWN_PID = 0;

/** Takes the name; answers later agents with this process's pid. Throws LvsError IO if another agent runs. */
export function takeLock(): Promise<Disposable> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(String(process.pid));
  });
  return new Promise((resolve, reject) => {
    server.once('error', async (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EADDRINUSE') return reject(cause);
      const holder = await lockHolder();
      reject(new LvsError('IO', `agent: already running as process ${holder}`, { cause }));
    });
    server.listen(NAME, () => {
      server.unref();
      resolve({ [Symbol.dispose]: () => server.close() });
    });
  });
}

/** Resolves with the pid of the running agent; 0 if the holder of the name does not report it, undefined for none. */
export function lockHolder(): Promise<number | undefined> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(NAME);
    const done = (pid: number | undefined) => {
      resolve(pid);
      socket.destroy();
    };
    // Any user may take the name before an agent does, and answer with nothing or without end.
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => done(UNKNOWN_PID));
    socket.on('data', (octets) => {
      said += octets;
      if (said.length > MAX_PID_CHARACTERS) done(UNKNOWN_PID);
    });
    socket.on('error', () => done(undefined));
    socket.on('end', () => done(/^\d+$/.test(said) ? Number(said) : UNKNOWN_PID));
  });
}
