// Runs one server process on a free port: starts it, waits until it answers, and reliably stops it. It knows
// nothing of Redis or MySQL; the ServerPlan has what differs.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const startLimit = 60_000;
const stopLimit = 20_000;
const askAgainAfter = 500;
const probeInterval = 20;
const portAttempts = 5;
const logTail = 3_000;

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** Changes with each restart. */
  readonly pid: number;
  readonly version: string;
  readonly directory: string;
  /** Asks the server to end, then kills it; resolves when it is gone. Does nothing if it is gone already. */
  stop(): Promise<void>;
  /** Kills the server, whose data nobody needs any more: to end in order takes MySQL more than a second. */
  discard(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** Starts the server again on the same port and data; stops it first if it runs. */
  restart(): Promise<void>;
}

export interface ServerPlan {
  name: string;
  version: string;
  directory: string;
  file: string;
  args(port: number): string[] | Promise<string[]>;
  url(port: number): string;
  /** Whether this very process answers, and not another one on the port. May throw for "not yet". */
  answers(server: { port: number; pid: number; log: string }): Promise<boolean>;
}

interface Running {
  child: ChildProcess;
  pid: number;
  ended: Promise<void>;
}

class PortTaken extends Error {}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/**
 * Below the ports that Linux and macOS give to clients and to servers that ask for any: of these, nobody gets one by
 * chance between now and the start of a server, or while it restarts.
 */
const ports = { from: 10_000, to: 32_000 };

/** A port that is free now: `wanted`, or another one if somebody has it. */
export function freePort(wanted = randomInt(ports.from, ports.to)): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(freePort()) : reject(error),
    );
    probe.listen(wanted, '127.0.0.1', () => probe.close(() => resolve(wanted)));
  });
}

/** Calls `attempt` until it returns true; false or an error means "not yet". `limit` is for all of it, ms. */
export async function waitFor(what: string, limit: number, attempt: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + limit;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      if (await attempt()) return;
    } catch (error) {
      cause = error;
    }
    await delay(probeInterval);
  }
  throw new Error(`${what} did not happen within ${limit} ms`, { cause });
}

export async function startServer(plan: ServerPlan): Promise<RunningServer> {
  mkdirSync(plan.directory, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      return serverHandle(plan, port, await launch(plan, port));
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === portAttempts) throw error;
    }
  }
}

function serverHandle(plan: ServerPlan, port: number, first: Running): RunningServer {
  let running = first;
  return {
    url: plan.url(port),
    port,
    get pid() {
      return running.pid;
    },
    version: plan.version,
    directory: plan.directory,
    stop: () => end(running),
    discard() {
      running.child.kill('SIGKILL');
      return end(running);
    },
    kill: signal => void running.child.kill(signal),
    async restart() {
      await end(running);
      running = await launch(plan, port);
    },
  };
}

async function launch(plan: ServerPlan, port: number): Promise<Running> {
  const logFile = join(plan.directory, `${plan.name}.log`);
  const logStart = existsSync(logFile) ? statSync(logFile).size : 0;
  const log = () => readFileSync(logFile).subarray(logStart).toString();
  const running = await spawnServer(plan, await plan.args(port), logFile);
  let gone = false;
  void running.ended.then(() => {
    gone = true;
  });
  try {
    await waitFor(`start of ${plan.name}`, startLimit, async () => {
      return gone || (await plan.answers({ port, pid: running.pid, log: log() }));
    });
  } catch (cause) {
    running.child.kill('SIGKILL');
    throw new Error(`${plan.name} (${plan.version}) does not answer; its log ends with:\n${tail(log())}`, {
      cause,
    });
  }
  if (!gone) return running;
  const said = log();
  const message = `${plan.name} (${plan.version}) ended at start; its log ends with:\n${tail(said)}`;
  if (/address already in use|failed listening on port/i.test(said)) throw new PortTaken(message);
  throw new Error(message);
}

async function spawnServer(plan: ServerPlan, args: string[], logFile: string): Promise<Running> {
  const output = openSync(logFile, 'a');
  // The kernel kills the server when this process dies, even by SIGKILL. Only Linux can do that.
  const [file, ...before] =
    process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL', plan.file] : [plan.file];
  // Its own process group: Ctrl-C reaches the program, which then stops its servers in order.
  const child = spawn(file as string, [...before, ...args], {
    cwd: plan.directory,
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => {
      children.delete(child);
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  children.add(child);
  // A failed program must be able to end without stopping its servers one by one.
  child.unref();
  return { child, pid: child.pid as number, ended };
}

async function end(running: Running): Promise<void> {
  const { child, ended } = running;
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const askToEnd = () => child.kill('SIGTERM');
  askToEnd();
  // Redis forgets a SIGTERM that it gets while it writes its first append-only file.
  const again = setInterval(askToEnd, askAgainAfter);
  // A server that a test left stopped with SIGSTOP would not see the SIGTERM.
  child.kill('SIGCONT');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopLimit);
  await ended;
  clearInterval(again);
  clearTimeout(timer);
}

function tail(log: string): string {
  return log.length > logTail ? `...${log.slice(-logTail)}` : log || '(nothing)';
}
