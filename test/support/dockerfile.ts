/** Parses a Dockerfile into stages and instructions, as far as the project's files need it. */
import { readFileSync } from 'node:fs';

interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly instructions: readonly { readonly name: string; readonly text: string }[];
}

export function readDockerfile(file: string): Stage[] {
  const lines = readFileSync(file, 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '');
  const stages: Stage[] = [];
  for (const line of lines) {
    const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (name === 'FROM') {
      const [, base = '', stage] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(text) ?? [];
      stages.push({ base, name: stage, instructions: [] });
    } else (stages.at(-1)!.instructions as { name: string; text: string }[]).push({ name, text });
  }
  return stages;
}

/** The image of the last stage, or of the named one. */
export function finalStage(stages: readonly Stage[], stageName?: string) {
  const stage = stageName ? stages.find(({ name }) => name === stageName)! : stages.at(-1)!;
  const last = (name: string) => stage.instructions.findLast(instruction => instruction.name === name)?.text;
  /** Throws if the instruction is not in exec form, since a shell would not pass signals on. */
  const list = (name: string) => JSON.parse(last(name) ?? '[]') as string[];
  return {
    last,
    list,
    healthCheck: () => JSON.parse(/ CMD (\[.*\])$/.exec(last('HEALTHCHECK') ?? '')![1]!) as string[],
    env: () =>
      Object.fromEntries(
        stage.instructions
          .filter(({ name }) => name === 'ENV')
          .flatMap(({ text }) => text.trim().split(/\s+/))
          .map(pair => pair.split('=') as [string, string]),
      ),
  };
}
