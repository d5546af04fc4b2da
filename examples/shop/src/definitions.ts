/** What this service counts, from the same file that its workers read, so that both always agree. */
import { defineConfig } from 'sluice';
import definitionsFile from '../sluice.config.json' with { type: 'json' };

export const definitions = defineConfig(definitionsFile);
