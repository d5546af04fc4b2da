// Makes a certificate authority and a server certificate for TLS tests, by default for localhost. It uses the
// openssl command, since Node cannot issue certificates.

import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export interface Certificates {
  caFile: string;
  certFile: string;
  keyFile: string;
}

/** @param names the certificate's names, as openssl writes them */
export async function makeCertificates(
  directory: string,
  names = 'DNS:localhost,IP:127.0.0.1',
): Promise<Certificates> {
  await mkdir(directory, { recursive: true });
  const path = (name: string) => join(directory, name);
  const [caFile, caKey] = [path('ca.pem'), path('ca-key.pem')];
  const [certFile, keyFile] = [path('server.pem'), path('server-key.pem')];
  const [request, extensions] = [path('server.csr'), path('server.ext')];
  const days = ['-days', '3650'];
  await run('openssl', [
    'req',
    '-x509',
    ...newKey,
    ...days,
    '-subj',
    '/CN=Test CA',
    '-keyout',
    caKey,
    '-out',
    caFile,
  ]);
  await run('openssl', ['req', ...newKey, '-subj', '/CN=localhost', '-keyout', keyFile, '-out', request]);
  await writeFile(extensions, `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`);
  const issuer = ['-CA', caFile, '-CAkey', caKey, '-set_serial', '1', '-extfile', extensions];
  await run('openssl', ['x509', '-req', '-in', request, ...issuer, ...days, '-out', certFile]);
  return { caFile, certFile, keyFile };
}
