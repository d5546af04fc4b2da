// Generated parts of pages: each stands between two comments that name it.

/** Returns the page with new content in the part of this name. @throws if the page has no such part */
export function filled(page: string, name: string, content: string): string {
  const section = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(<!-- end -->)`);
  if (!section.test(page)) throw new Error(`the page has no markers for the table "${name}"`);
  return page.replace(section, (_, before: string, after: string) => `${before}${content}\n${after}`);
}
