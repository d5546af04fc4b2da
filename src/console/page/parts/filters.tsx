/** Fields of a form whose values live in the address: it changes when the form is sent. */
import type { ComponentChildren } from 'preact';
import { path, query, setQuery } from '../address.ts';

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly options?: readonly (readonly [value: string, label: string])[];
  readonly placeholder?: string;
  readonly isRequired?: boolean;
  /** Blanks around it are part of it. */
  readonly isExact?: boolean;
}

interface Shown {
  readonly label: string;
  readonly fields: readonly Field[];
  readonly button: string;
  /** Names in the query that a new filter makes meaningless, such as the place of a page. */
  readonly resets?: readonly string[];
  readonly children?: ComponentChildren;
}

export function Filters({ label, fields, button, resets = [], children }: Shown) {
  const send = (event: Event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const values = fields.map(({ name, isExact }) => {
      const text = String(data.get(name) ?? '');
      return [name, isExact ? text : text.trim()];
    });
    setQuery(Object.fromEntries([...resets.map(name => [name, '']), ...values]));
  };
  // The key builds the fields anew when the address changes by a link or by going back.
  const state = fields.map(({ name }) => query.value.get(name)).join('\n');
  return (
    <form class="filters" aria-label={label} onSubmit={send} key={`${path.value}\n${state}`}>
      {fields.map(field => (
        <FilterField key={field.name} {...field} />
      ))}
      <button type="submit" class="main">
        {button}
      </button>
      {children}
    </form>
  );
}

function FilterField({ name, label, options, placeholder, isRequired = false }: Field) {
  const id = `filter-${name}`;
  const all = { id, name, required: isRequired, defaultValue: query.value.get(name) ?? '' };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {options ? (
        <select {...all} value={all.defaultValue}>
          {options.map(([one, shown]) => (
            <option key={one} value={one}>
              {shown}
            </option>
          ))}
        </select>
      ) : (
        <input {...all} type="text" placeholder={placeholder ?? ''} autocomplete="off" spellcheck={false} />
      )}
    </div>
  );
}
