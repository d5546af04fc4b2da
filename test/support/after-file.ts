// Runs before each test file. Vitest silently ignores an `afterAll` inside a `beforeAll` or a test, and files
// of one process share their modules, so only this file can register it for each of them.
import { afterAll } from 'vitest';
import { closeAll } from './cleanup.ts';

afterAll(closeAll);
