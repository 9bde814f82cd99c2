#!/usr/bin/env node
/** ipvsadm-restore: replaces the director's rules by those of the standard input. */
import { inProcess } from '../ipvsadm/process.ts';
import { runRestore } from '../ipvsadm/scripts.ts';

await inProcess('ipvsadm-restore', (at) => runRestore(process.argv.slice(2), at));
