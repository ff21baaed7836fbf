// What Node itself reads from the environment: what there is refused, and what workers get of it.
// What always holds: nothing that somebody left in an environment loads code into the service, opens a door to it, or
// takes a check away; what it may do otherwise stands in a list.

type Environment = Readonly<Record<string, string | undefined>>;

/** How much memory, which addresses first, whose authorities. Options of V8 and Node, without their `--`. */
const HARMLESS_OPTIONS: ReadonlySet<string> = new Set([
  ...['max-old-space-size', 'max-semi-space-size', 'min-semi-space-size', 'max-old-space-size-percentage'],
  ...['dns-result-order', 'network-family-autoselection', 'network-family-autoselection-attempt-timeout'],
  ...['no-network-family-autoselection', 'use-openssl-ca', 'use-bundled-ca', 'use-system-ca'],
  ...['enable-fips', 'force-fips', 'secure-heap', 'secure-heap-min', 'disable-sigusr1', 'disable-proto'],
  ...['stack-trace-limit', 'enable-source-maps', 'trace-warnings', 'no-warnings', 'no-deprecation'],
]);

/** Variables that are refused with a value, and what they would do. */
const REFUSED: Readonly<Record<string, string>> = {
  NODE_DEBUG: 'it would write what goes over connections, tokens included, to standard error',
  NODE_DEBUG_NATIVE: 'it would write what Node does inside to standard error',
  NODE_PATH: 'it would load modules from elsewhere',
};

/**
 * @param env of the process
 * @returns a line for each variable that keeps the service from starting
 */
export function nodeEnvironmentProblems(env: Environment): string[] {
  const problems: string[] = [];
  for (const option of strangeOptions(env['NODE_OPTIONS'] ?? '')) {
    problems.push(
      `NODE_OPTIONS in the environment: ${option} is not taken from there; what the service is to be started with stands in its command line (ExecStart of the unit)`,
    );
  }
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    problems.push(
      'NODE_TLS_REJECT_UNAUTHORIZED in the environment: 0 would accept every certificate; NODE_EXTRA_CA_CERTS names more authorities',
    );
  }
  for (const [name, why] of Object.entries(REFUSED)) {
    if ((env[name] ?? '') !== '') problems.push(`${name} in the environment: ${why}`);
  }
  return problems;
}

/** Quotes are left in: an option of the list needs none. Values are not told, for they may be anything. */
function strangeOptions(text: string): string[] {
  const strange: string[] = [];
  // A word that is no option is the value of the one before it.
  let isHarmless = false;
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (!word.startsWith('-') && isHarmless) continue;
    const name = word.replace(/=.*$/s, '');
    isHarmless = HARMLESS_OPTIONS.has(name.replace(/^--/, '').replaceAll('_', '-'));
    if (!isHarmless) strange.push(printable(name));
  }
  return strange;
}

function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '?').slice(0, 40);
}

/** What a worker needs: what Node, its libraries and the C library read, and nothing of ours. */
const FOR_WORKERS: ReadonlySet<string> = new Set([
  ...['PATH', 'HOME', 'USER', 'LANG', 'LANGUAGE', 'TZ', 'TZDIR', 'TMPDIR'],
  ...['NODE_ENV', 'NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'NODE_ICU_DATA', 'NODE_NO_WARNINGS'],
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'OPENSSL_CONF', 'OPENSSL_MODULES', 'OPENSSL_ENGINES'],
  ...['UV_THREADPOOL_SIZE', 'UV_USE_IO_URING', 'RES_OPTIONS', 'LOCALDOMAIN', 'HOSTALIASES'],
  ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'GLIBC_TUNABLES'],
]);
const KINDS_FOR_WORKERS = /^(LC_|MALLOC_)/;

/**
 * The environment of a worker, for node:cluster, which lets it inherit all but what is said to be undefined.
 * @param env of the process
 */
export function environmentForWorkers(env: Environment): Record<string, undefined> {
  const kept = (name: string) => FOR_WORKERS.has(name) || KINDS_FOR_WORKERS.test(name);
  return Object.fromEntries(
    Object.keys(env)
      .filter((name) => !kept(name))
      .map((name) => [name, undefined]),
  );
}
