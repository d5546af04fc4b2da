// Bundles the page of the console: build-page.ts [FOLDER], dist/console/page if none is given. A few small files,
// so that the server can read them all at its start; src/console/assets.ts has their list.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { runbookPage } from './runbook-page.ts';

const project = fileURLToPath(new URL('../', import.meta.url));
const source = join(project, 'src/console/page');
const folder = resolve(process.argv[2] ?? join(project, 'dist/console/page'));

/** They are part of the bundle, and their licences ask for their notices beside it. */
const BUNDLED = ['preact', '@preact/signals', '@preact/signals-core', 'uplot'];

await mkdir(folder, { recursive: true });
await build({
  entryPoints: [join(source, 'app.tsx'), join(source, 'app.css')],
  outdir: folder,
  bundle: true,
  minify: true,
  format: 'esm',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  target: ['chrome115', 'firefox115', 'safari16.4'],
  legalComments: 'none',
  logLevel: 'warning',
});
for (const name of ['index.html', 'icon.svg']) await copyFile(join(source, name), join(folder, name));
const runbook = runbookPage(await readFile(join(project, 'docs/operating.md'), 'utf8'));
await writeFile(join(folder, 'runbook.html'), runbook);
const notices = BUNDLED.map(async name => {
  const text = await readFile(join(project, 'node_modules', name, 'LICENSE'), 'utf8');
  return `${name}\n\n${text.trim()}\n`;
});
await writeFile(join(folder, 'licenses.txt'), (await Promise.all(notices)).join('\n\n'));
