// The parts of pages that are generated: each stands between two comments that name it.

/** The page with the content in its part of this name. @throws if it has none */
export function filled(page: string, name: string, content: string): string {
  const place = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(<!-- end -->)`);
  if (!place.test(page)) throw new Error(`the page has no place for the table "${name}"`);
  return page.replace(place, (_, before: string, after: string) => `${before}${content}\n${after}`);
}
