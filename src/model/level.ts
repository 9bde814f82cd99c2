/** The severity of a line for the operator. */

/** In ascending order of severity. */
export const LEVELS = ['info', 'warning', 'error'] as const;
export type Level = (typeof LEVELS)[number];
/** Receives a line for the operator; the default level is info. */
export type Say = (line: string, level?: Level) => void;
