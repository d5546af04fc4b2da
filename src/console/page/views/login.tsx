/** Asks who is there. */
import { useSignal } from '@preact/signals';
import type { TargetedSubmitEvent } from 'preact';
import { useEffect } from 'preact/hooks';
import { go, ownPath, query } from '../address.ts';
import { asProblem, type Problem } from '../api.ts';
import { ProblemNote } from '../parts/problem.tsx';
import { logIn, mayLook, me } from '../session.ts';

export function LoginView() {
  const problem = useSignal<Problem | null>(null);
  const isSending = useSignal(false);
  const back = ownPath(query.value.get('to'));
  useEffect(() => {
    if (mayLook.value) go(back);
  }, [mayLook.value]);
  const send = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    isSending.value = true;
    problem.value = null;
    try {
      await logIn(String(data.get('name')), String(data.get('password')));
    } catch (error) {
      problem.value = asProblem(error);
    }
    isSending.value = false;
  };
  return (
    <main id="main" class="login">
      <h1>Sluice</h1>
      <p class="quiet">{me.value?.namespace}</p>
      {me.value?.login === 'proxy' ? (
        <p>The proxy before this console has sent no user; log in there.</p>
      ) : (
        <form onSubmit={send}>
          <label class="field wide">
            <span>Name</span>
            <input name="name" required autocomplete="username" autocapitalize="none" spellcheck={false} />
          </label>
          <label class="field wide">
            <span>Password</span>
            <input name="password" type="password" required autocomplete="current-password" />
          </label>
          <ProblemNote problem={problem.value} />
          <button type="submit" class="main" disabled={isSending.value}>
            Log in
          </button>
          {me.value?.openid && (
            <a href={`/openid/start?to=${encodeURIComponent(back)}`}>Log in with single sign-on</a>
          )}
        </form>
      )}
    </main>
  );
}
