/**
 * Measures a program's turns of the event loop by processor time: `node --import dist/bench/turn-meter.js PROGRAM`.
 * SIGUSR2 prints the longest one since the last signal, ms, as `turn-meter {...}` on stdout.
 */
import { openSync, readSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { LoopTurns } from '../src/runtime/loop-turns.ts';

if (isMainThread) {
  const file = openSync('/proc/thread-self/schedstat', 'r');
  const buffer = Buffer.alloc(64);
  /** The first number is the time on a processor, ns (Documentation/scheduler/sched-stats.rst, Linux 6.1). */
  const processorTime = () => {
    const length = readSync(file, buffer, 0, buffer.length, 0);
    return Number.parseInt(buffer.toString('latin1', 0, length), 10) / 1e6;
  };
  const turns = new LoopTurns(processorTime);
  process.on('SIGUSR2', () => {
    process.stdout.write(`turn-meter ${JSON.stringify({ longest: turns.longest * 1000 })}\n`);
    turns.reset();
  });
}
