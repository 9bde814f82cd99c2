#!/usr/bin/env node
import './supported-node.ts';

void import('./realserver/program.ts').then(({ main }) => main());
