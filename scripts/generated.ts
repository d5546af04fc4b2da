// The parts of pages that are generated: each stands between two comments that name it.

/** The page with the content in its part of this name. @throws if it has none */
export function filled(page: string, name: string, content: string): string {
  const section = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(<!-- end -->)`);
  if (!section.test(page)) throw new Error(`the page has no markers for the table "${name}"`);
  return page.replace(section, (_, before: string, after: string) => `${before}${content}\n${after}`);
}
