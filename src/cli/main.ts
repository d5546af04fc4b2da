#!/usr/bin/env node
/**
 * The entry of the `sluice` command. It takes SIGTERM and SIGINT before anything else is loaded: in a container this process
 * may be number 1, for which the system does nothing about a signal that nobody handles.
 */
import './signals.ts';

await import('./program.ts');
