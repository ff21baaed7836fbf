// What stands beside real hypervisors, before a VNC server of this host, and the rule of `targets` that goes through it.
// Host names are resolved nowhere: a console that is not reached by its rule is not reached at all.
import type { Pki } from './certificates.ts';
import { makeKey, type Sshd, startSshd, writeKnownHosts } from './sshd.ts';
import { startStunnel } from './stunnel.ts';
import { startWebsockify } from './websockify.ts';

/** A map of settings, as a rule. */
export type Rule = Record<string, unknown>;

/** Rules as YAML: a list of maps, each a line of YAML's JSON. Keys are symbols, as OpenNebula writes them. */
export function configOf(rules: readonly Rule[], more = ''): string {
  const items = rules.map((rule) => {
    const lines = Object.entries(rule).map(([key, value]) => `:${key}: ${JSON.stringify(value)}`);
    return `  - ${lines.join('\n    ')}\n`;
  });
  return `:vnc_auth: proxy\n:targets:\n${items.join('')}${more}`;
}

/** By an sshd to any port of this host. */
export async function sshWay(host: string): Promise<{ rule: Rule; sshd: Sshd }> {
  const key = await makeKey();
  const sshd = await startSshd({ authorizedKeys: [key.publicKey] });
  const knownHosts = writeKnownHosts(sshd.knownHosts(`[${host}]:${sshd.port}`));
  const members = { user: sshd.user, port: sshd.port, key_file: key.file, known_hosts: knownHosts };
  return { rule: { match: host, via: 'ssh', address: '127.0.0.1', ...members }, sshd };
}

/** Members of a rule for a server of the tests' own authority that asks for a client's certificate. */
export function tlsMembers({ ca, client }: Pki): Rule {
  return { ca_file: ca.cert, cert_file: client.cert, key_file: client.key, server_name: 'localhost' };
}

/** By a stunnel that wants a client's certificate. */
export async function tlsWay(host: string, pki: Pki, to: number): Promise<Rule> {
  const { port } = await startStunnel(pki, to);
  return { match: host, via: 'tls', address: '127.0.0.1', port, ...tlsMembers(pki) };
}

/** By Debian's websockify. */
export async function wsWay(host: string, to: number): Promise<Rule> {
  const { port } = await startWebsockify({ target: `127.0.0.1:${to}` });
  return { match: host, via: 'ws', address: '127.0.0.1', port };
}

/** By a websockify with TLS that wants a client's certificate. */
export async function wssWay(host: string, pki: Pki, to: number): Promise<Rule> {
  const shown = ['--cert', pki.server.cert, '--key', pki.server.key, '--ssl-only'];
  const args = [...shown, '--verify-client', '--cafile', pki.ca.cert];
  const { port } = await startWebsockify({ target: `127.0.0.1:${to}`, args });
  return { match: host, via: 'wss', address: '127.0.0.1', port, ...tlsMembers(pki) };
}
