/** Loaded before a program (node --import): its wall clock steps to and fro by up to a day. */
const { now } = Date;
const DAY_MS = 86_400_000;

Date.now = () => now() + Math.round((Math.random() - 0.5) * 2 * DAY_MS);
