#!/usr/bin/env node
import './supported-node.ts';
import { loadProgram } from './load-program.ts';

loadProgram(import('./realserver/program.ts'), ({ main }) => main());
