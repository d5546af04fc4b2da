#!/usr/bin/env node
/**
 * The entry of the `sluice` command. It handles SIGTERM and SIGINT before anything else is loaded: in a
 * container this process may be number 1, for which the system ignores an unhandled signal.
 */
import './signals.ts';

await import('./program.ts');
