#!/usr/bin/env node
/** ipvsadm-restore: the rules of the standard input instead of those that the director has. */
import { inProcess } from '../ipvsadm/process.ts';
import { runRestore } from '../ipvsadm/scripts.ts';

await inProcess('ipvsadm-restore', (at) => runRestore(process.argv.slice(2), at));
