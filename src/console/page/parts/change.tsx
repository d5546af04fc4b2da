/** What an edit changes: amount, reason and metadata of an update. An empty field leaves that part as it is. */
import { useSignal } from '@preact/signals';
import type { TargetedSubmitEvent } from 'preact';
import type { EditChange } from '../../answers.ts';
import { TypedJson } from '../api.ts';

export function ChangeForm({ onChange }: { onChange: (change: EditChange) => void }) {
  const fault = useSignal('');
  const send = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const read = changeOf(new FormData(event.currentTarget));
    if (typeof read === 'string') fault.value = read;
    else onChange(read);
  };
  return (
    <form class="confirm" onSubmit={send}>
      <p>An empty field leaves that part of each update as it is.</p>
      <label class="field">
        <span>Amount</span>
        <input name="amount" inputMode="numeric" pattern="-?[0-9]+" autocomplete="off" />
      </label>
      <label class="field wide">
        <span>Reason of the entry</span>
        <input name="reason" maxLength={255} autocomplete="off" />
      </label>
      <label class="field wide">
        <span>Metadata, as a JSON object</span>
        <textarea name="metadata" rows={4} spellcheck={false} />
      </label>
      {fault.value !== '' && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
      <p class="buttons">
        <button type="submit" class="main">
          See what would happen
        </button>
      </p>
    </form>
  );
}

/** The change, or what is wrong with it. */
function changeOf(data: FormData): EditChange | string {
  const [amount, reason, metadata] = ['amount', 'reason', 'metadata'].map(name =>
    String(data.get(name)).trim(),
  );
  if (!amount && !reason && !metadata) return 'Fill in at least one field.';
  if (amount && !Number.isSafeInteger(Number(amount)))
    return 'The amount must be a whole number within ±(2^53-1).';
  const typed = metadata ? typedObject(metadata) : undefined;
  if (metadata && !typed) return 'The metadata must be a JSON object, such as {"order": 7}.';
  return {
    ...(amount && { amount: Number(amount) }),
    ...(reason && { reason }),
    ...(typed && { metadata: typed }),
  };
}

/** Numbers and keys of the object are for the server to judge, which reads all digits and no key twice. */
function typedObject(text: string): TypedJson | undefined {
  try {
    return text.startsWith('{') ? new TypedJson(text) : undefined;
  } catch {
    return undefined;
  }
}
