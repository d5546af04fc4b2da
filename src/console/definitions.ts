/** The route of the definitions that this process runs with. */
import { type Definitions, definedNames, definitionOf } from '../shared/config/definitions.ts';
import { shownTarget } from '../shared/config/target.ts';
import { SHOWN_KINDS } from '../shared/item.ts';
import type { ShownDefinitions } from './answers.ts';
import { type Route, route } from './route.ts';

export const definitionRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/definitions',
    role: 'viewer',
    shape: {},
    async handle(_call, { definitions }) {
      return { body: shown(definitions) };
    },
  }),
];

function shown(definitions: Definitions): ShownDefinitions {
  const names = definedNames(definitions).map(({ kind, name }) => {
    const { target, ranked } = definitionOf(kind, name, definitions)!;
    return {
      ...{ kind: SHOWN_KINDS[kind], name, ranked },
      target: target ? shownTarget(target) : null,
      floor: kind === 'p' ? floorOf(definitions.points[name]!.floor) : null,
      keep:
        Object.hasOwn(definitions.values, name) && kind !== 'c' && kind !== 'p'
          ? definitions.values[name]!.keep
          : null,
    };
  });
  return { names, text: JSON.stringify(definitions, null, 2) };
}

/** The lowest safe number is how definitions say that there is none. */
function floorOf(floor: number): number | null {
  return floor === Number.MIN_SAFE_INTEGER ? null : floor;
}
