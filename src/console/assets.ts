/**
 * The built page: a fixed map from a path to its bytes. No path of a request ever becomes the name of a file, so no
 * request can ask for another one.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { ConfigurationError } from '../shared/errors.ts';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  /** The same for browsers that take gzip, which all do. */
  readonly gzip: Buffer;
  /** In quotes, as the header has it. */
  readonly etag: string;
}

/** What scripts/build-page.ts writes, with the content types. */
export const PAGE_FILES = {
  'index.html': 'text/html; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'app.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'runbook.html': 'text/html; charset=utf-8',
  'licenses.txt': 'text/plain; charset=utf-8',
} as const;

/** Addresses of the page itself: the browser finds out which of its views to show. */
export const VIEWS = [
  ...['/', '/partitions', '/look-up', '/trace', '/quarantine', '/jobs', '/operations', '/verify'],
  ...['/processes', '/login'],
] as const;
const ONE = /^\/(?:operations|quarantine)\/\d{1,15}$/;

/** Whether the page has a view under this path of the console. */
export function isView(path: string): boolean {
  return (VIEWS as readonly string[]).includes(path) || ONE.test(path);
}

export class PageAssets {
  readonly #byPath = new Map<string, Asset>();
  readonly #index: Asset;

  /** @throws ConfigurationError if the page is not built */
  constructor(folder = builtFolder()) {
    for (const [name, type] of Object.entries(PAGE_FILES))
      this.#byPath.set(`/${name}`, readAsset(folder, name, type));
    this.#index = this.#byPath.get('/index.html')!;
    for (const view of VIEWS) this.#byPath.set(view, this.#index);
  }

  /** @param path of a request, without its query; undefined if the page has nothing there */
  at(path: string): Asset | undefined {
    return this.#byPath.get(path) ?? (ONE.test(path) ? this.#index : undefined);
  }
}

/** Beside this file once it is compiled; a checkout has it in dist/. */
function builtFolder(): string {
  const isCompiled = import.meta.url.endsWith('.js');
  return fileURLToPath(new URL(isCompiled ? './page/' : '../../dist/console/page/', import.meta.url));
}

function readAsset(folder: string, name: string, type: string): Asset {
  try {
    const body = readFileSync(`${folder}/${name}`);
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    return { type, body, gzip: gzipSync(body), etag };
  } catch (cause) {
    throw new ConfigurationError(
      `The page of the console is not built (${name} is missing in ${folder}); run: npm run build:page`,
      { cause },
    );
  }
}
