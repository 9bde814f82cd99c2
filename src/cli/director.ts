#!/usr/bin/env node
import './supported-node.ts';

void import('./director/program.ts').then(({ main }) => main());
