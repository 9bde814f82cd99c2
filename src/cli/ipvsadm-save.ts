#!/usr/bin/env node
import './supported-node.ts';

void import('./ipvsadm/program.ts').then(({ save }) => save());
