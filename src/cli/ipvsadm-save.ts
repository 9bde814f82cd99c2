#!/usr/bin/env node
/** ipvsadm-save: the director's rules as text that ipvsadm-restore reads. */
import { inProcess } from '../ipvsadm/process.ts';
import { runSave } from '../ipvsadm/scripts.ts';

await inProcess('ipvsadm-save', (at) => runSave(process.argv.slice(2), at));
