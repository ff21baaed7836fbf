// Real VNC servers with TLS: Xtigervnc with certificates and with PAM, QEMU with its tls-creds objects.
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pki } from './certificates.ts';
import { runWell } from './child.ts';
import { temporaryFolder } from './folder.ts';
import { type Qemu, startQemu } from './qemu.ts';
import { startTigervnc, type Tigervnc } from './tigervnc.ts';

export interface Peer {
  host: string;
  port: number;
}

export interface TlsTigervncOptions {
  /** As `-SecurityTypes` takes them: X509Vnc,TLSNone. */
  types: string;
  password?: string;
  pki: Pki;
  /** Who may log in with X509Plain and TLSPlain; PAM asks a script of ours, in a mount namespace of its own. */
  plain?: { user: string; password: string };
}

/** Xtigervnc with any of its security types. The screen is black. */
export function startTlsTigervnc({ types, password, pki, plain }: TlsTigervncOptions): Promise<Tigervnc> {
  const shown = ['-X509Cert', pki.server.cert, '-X509Key', pki.server.key];
  return startTigervnc({
    types,
    ...(password === undefined ? {} : { password }),
    args: [...shown, ...(plain === undefined ? [] : ['-PlainUsers', plain.user])],
    ...(plain === undefined ? {} : { wrap: (command) => insideOfOwnPam(plain, command) }),
  });
}

/** Debian's PAM configuration with a service `vnc` that knows one user, seen by this one process alone. */
function insideOfOwnPam(
  { user, password }: { user: string; password: string },
  command: readonly string[],
): string[] {
  const folder = temporaryFolder();
  const pam = join(folder, 'pam.d');
  const check = join(folder, 'check.sh');
  cpSync('/etc/pam.d', pam, { recursive: true, dereference: true });
  writeFileSync(
    check,
    `#!/bin/sh\nread -r given\n[ "$PAM_USER" = '${user}' ] && [ "$given" = '${password}' ]\n`,
    { mode: 0o755 },
  );
  writeFileSync(
    join(pam, 'vnc'),
    `auth required pam_exec.so expose_authtok quiet ${check}\naccount required pam_permit.so\n`,
  );
  return ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc/pam.d && exec "$@"', pam, ...command];
}

/**
 * QEMU with anonymous TLS; with a password TLSVnc, else TLSNone.
 * @param args with none, its screen is the monitor
 */
export function startAnonymousQemu(password?: string, args = ['-nodefaults']): Promise<Qemu> {
  return startQemu({
    ...(password === undefined ? {} : { password }),
    vnc: ',tls-creds=tls',
    args: [...args, '-object', `tls-creds-anon,id=tls,dir=${temporaryFolder()},endpoint=server`],
  });
}

/** QEMU with certificates; with a password X509Vnc, else X509None. */
export async function startX509Qemu(
  pki: Pki,
  { password, verifyPeer = false }: { password?: string; verifyPeer?: boolean } = {},
): Promise<Qemu> {
  const creds = `tls-creds-x509,id=tls,dir=${pki.folder},endpoint=server,verify-peer=${verifyPeer ? 'on' : 'off'}`;
  await writeDhParameters(pki.folder);
  return startQemu({
    ...(password === undefined ? {} : { password }),
    vnc: ',tls-creds=tls',
    args: ['-nodefaults', '-object', creds],
  });
}

/** Without them QEMU makes its own at every start, which takes a while. */
async function writeDhParameters(folder: string): Promise<void> {
  const options = ['-algorithm', 'DH', '-pkeyopt', 'group:ffdhe2048'];
  await runWell('openssl', ['genpkey', '-genparam', ...options, '-out', join(folder, 'dh-params.pem')]);
}
