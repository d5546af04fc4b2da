/** JSON laid out for people by line breaks outside of its strings: nothing is read, so each number keeps its digits. */

export function jsonLines(text: string): string {
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|\{\}|\[\]|[{}[\],:]|\s+/g, part => {
    if (part === '{' || part === '[') {
      depth++;
      return part + line();
    }
    if (part === '}' || part === ']') {
      depth = Math.max(0, depth - 1);
      return line() + part;
    }
    if (part === ',') return part + line();
    if (part === ':') return ': ';
    return part.trim() === '' ? '' : part;
  });
}
