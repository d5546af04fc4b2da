/**
 * Environment variables that Kubernetes and Docker set for services. For a Service named `sluice-worker`,
 * every container gets SLUICE_WORKER_SERVICE_HOST, SLUICE_WORKER_PORT=tcp://10.0.0.1:9464,
 * SLUICE_WORKER_PORT_9464_TCP_ADDR and more. They are not settings of Sluice.
 */

const NAMES = [
  /_SERVICE_HOST$/,
  /_SERVICE_PORT(_[A-Z0-9_]+)?$/,
  /_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO|START|END))?$/,
  // Docker's links: the other container's name and environment.
  /_ENV_/,
];
const ADDRESS = /^(tcp|udp|sctp):\/\/\S+:\d+$/;
/** `/mine/theirs`: the names of both containers. */
const LINK = /^\/[^/]+\/[^/]+$/;

/** Whether a variable is a service link, by its name; if the name is ambiguous, also by its value. */
function isServiceLink(name: string, value: string | undefined): boolean {
  if (NAMES.some(form => form.test(name))) return true;
  if (/_PORT$/.test(name)) return ADDRESS.test(value ?? '');
  return /_NAME$/.test(name) && LINK.test(value ?? '');
}

/** Leaves service links out. A Service `sluice-http` sets SLUICE_HTTP_PORT, which is a setting of Sluice. */
export function withoutServiceLinks(environment: Readonly<Record<string, string | undefined>>) {
  const isLink = (name: string, value: string | undefined) =>
    name.startsWith('SLUICE_') && isServiceLink(name, value);
  return Object.fromEntries(Object.entries(environment).filter(([name, value]) => !isLink(name, value)));
}
