#!/usr/bin/env node
/** ipvsadm-save: prints the director's rules in the format of ipvsadm-restore. */
import { inProcess } from '../ipvsadm/process.ts';
import { runSave } from '../ipvsadm/scripts.ts';

await inProcess('ipvsadm-save', (at) => runSave(process.argv.slice(2), at));
