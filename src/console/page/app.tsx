/** Starts the page, and decides which view an address shows. */
import { type ComponentType, render } from 'preact';
import { useEffect } from 'preact/hooks';
import { path, watchAddress } from './address.ts';
import { startClock } from './clock.ts';
import { VIEWS, watchKeys } from './keys.ts';
import { startLive } from './live.ts';
import { Frame } from './parts/frame.tsx';
import { Help } from './parts/help.tsx';
import { ProblemNote } from './parts/problem.tsx';
import { askForLogin, loadMe, mayLook, me, meProblem } from './session.ts';
import { startTheme } from './theme.ts';
import { JobsView } from './views/jobs.tsx';
import { LoginView } from './views/login.tsx';
import { LookUpView } from './views/look-up.tsx';
import { OperationView } from './views/operation.tsx';
import { OperationsView } from './views/operations.tsx';
import { OverviewView } from './views/overview.tsx';
import { PartitionsView } from './views/partitions.tsx';
import { ProcessesView } from './views/processes.tsx';
import { QuarantineView } from './views/quarantine.tsx';
import { QuarantinedUpdateView } from './views/quarantined-update.tsx';
import { TraceView } from './views/trace.tsx';
import { VerifyView } from './views/verify.tsx';

const BY_PATH: Readonly<Record<(typeof VIEWS)[number]['path'], ComponentType>> = {
  '/': OverviewView,
  '/partitions': PartitionsView,
  '/look-up': LookUpView,
  '/trace': TraceView,
  '/quarantine': QuarantineView,
  '/jobs': JobsView,
  '/operations': OperationsView,
  '/verify': VerifyView,
  '/processes': ProcessesView,
};

function View() {
  const [, list, number] = /^\/(operations|quarantine)\/(\d+)$/.exec(path.value) ?? [];
  if (list === 'operations') return <OperationView key={number} operation={Number(number)} />;
  if (list === 'quarantine') return <QuarantinedUpdateView key={number} id={Number(number)} />;
  const known = VIEWS.find(view => view.path === path.value);
  if (!known) return <h1>Nothing is at this address</h1>;
  const Known = BY_PATH[known.path];
  return <Known />;
}

function App() {
  const isAway = me.value !== null && !mayLook.value;
  useEffect(() => {
    document.title = `${VIEWS.find(view => view.path === path.value)?.name ?? 'Sluice'} · Sluice`;
  }, [path.value]);
  useEffect(() => {
    if (isAway) askForLogin();
  }, [isAway, path.value]);
  if (path.value === '/login' || isAway) return <LoginView />;
  if (me.value === null)
    return (
      <main id="main" class="login">
        <h1>Sluice</h1>
        <ProblemNote problem={meProblem.value} retry={() => void loadMe()} />
      </main>
    );
  return (
    <>
      <Frame>
        <View />
      </Frame>
      <Help />
    </>
  );
}

startTheme();
startClock();
watchAddress();
watchKeys();
startLive();
void loadMe();
render(<App />, document.body);
