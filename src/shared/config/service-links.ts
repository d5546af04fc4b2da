/**
 * Variables that Kubernetes and Docker set by themselves. For a Service named `sluice-worker`, every container gets
 * SLUICE_WORKER_SERVICE_HOST, SLUICE_WORKER_PORT=tcp://10.0.0.1:9464, SLUICE_WORKER_PORT_9464_TCP_ADDR and more: nobody wrote
 * them, and they are no settings of Sluice.
 */

const NAMES = [
  /_SERVICE_HOST$/,
  /_SERVICE_PORT(_[A-Z0-9_]+)?$/,
  /_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO|START|END))?$/,
  // Docker's links: the other container's name and environment.
  /_ENV_/,
];
const ADDRESS = /^(tcp|udp|sctp):\/\/\S+:\d+$/;
/** `/mine/theirs`, the names of both containers. */
const LINK = /^\/[^/]+\/[^/]+$/;

/** Whether the variable has the form of such a one, by its name or, if that could be anybody's, by its value too. */
function isServiceLink(name: string, value: string | undefined): boolean {
  if (NAMES.some(form => form.test(name))) return true;
  if (/_PORT$/.test(name)) return ADDRESS.test(value ?? '');
  return /_NAME$/.test(name) && LINK.test(value ?? '');
}

/** A Service named `sluice-http` sets SLUICE_HTTP_PORT=tcp://..., which is the name of a variable of Sluice: not set, then. */
export function withoutServiceLinks(environment: Readonly<Record<string, string | undefined>>) {
  const isLink = (name: string, value: string | undefined) =>
    name.startsWith('SLUICE_') && isServiceLink(name, value);
  return Object.fromEntries(Object.entries(environment).filter(([name, value]) => !isLink(name, value)));
}
