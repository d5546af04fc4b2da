// docs/operating.md as a page of the console, so that the runbook is there when nothing else is. It knows the Markdown
// that the file uses, and no more: headings, paragraphs, lists, tables, code, links.

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** What an operator at night needs; upgrades and changes of the number of partitions are done by day. */
const LAST_SECTION = '\n## Upgrade and rollback\n';

export function runbookPage(markdown: string): string {
  const [night] = markdown.split(LAST_SECTION) as [string];
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Runbook · Sluice</title>
    <link rel="icon" href="/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/app.css">
  </head>
  <body>
    <main class="runbook">
<p><a href="/">Back to the console</a></p>
${night
  .split(/\n{2,}(?=\S)/)
  .map(block)
  .join('\n')}
    </main>
  </body>
</html>
`;
}

function block(text: string): string {
  const [, marks, heading] = /^(#+) (.*)/.exec(text) ?? [];
  if (marks && heading) {
    const level = marks.length;
    return `<h${level} id="${anchor(heading)}">${inline(heading)}</h${level}>`;
  }
  const [, code] = /^```\w*\n(.*?)\n?```$/s.exec(text.trim()) ?? [];
  if (code !== undefined) return `<pre>${escaped(code)}</pre>`;
  if (text.startsWith('|')) return table(text.trim().split('\n'));
  if (/^(?:- |\d+\. )/.test(text)) return list(text.trim());
  return `<p>${inline(text.trim())}</p>`;
}

function table([head, , ...rows]: readonly string[]): string {
  const cells = (line: string, tag: string) =>
    line
      .slice(1, -1)
      .split('|')
      .map(cell => `<${tag}>${inline(cell.trim())}</${tag}>`)
      .join('');
  const body = rows.map(row => `<tr>${cells(row, 'td')}</tr>`).join('\n');
  return `<div class="scroll" tabindex="0"><table><thead><tr>${cells(head!, 'th')}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function list(text: string): string {
  const items = text
    .split(/\n(?=- |\d+\. )/)
    .map(item => `<li>${inline(item.replace(/^(?:-|\d+\.) /, ''))}</li>`);
  const tag = text.startsWith('-') ? 'ul' : 'ol';
  return `<${tag}>${items.join('\n')}</${tag}>`;
}

/** Links inside the page lead there; other documents are not served here, so only their names are shown. */
function inline(text: string): string {
  return text
    .split(/(`[^`]+`)/)
    .map(part =>
      part.startsWith('`') ? `<code>${escaped(part.slice(1, -1))}</code>` : marked(escaped(part)),
    )
    .join('');
}

function marked(text: string): string {
  return text
    .replace(/\[([^\]]+)\]\(#([^)]+)\)/g, '<a href="#$2">$1</a>')
    .replace(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replace(/\*\*([^*]+)\*\*/g, '<b>$1</b>')
    .replace(/\*([^*]+)\*/g, '<i>$1</i>');
}

/** As GitHub makes them, so that the same links lead to the same sections. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, found => ENTITIES[found]!);
}
