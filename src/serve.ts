// `vnctoken-server serve`: one life of the service, from the log to the last connection, and what signals do to it.
// What always holds: it is said to be ready only when every listener is up; a bad reload changes nothing.
import { type App, createApp } from './app.js';
import { ConfigError, type Loaded } from './config/load.js';
import { checkTargets } from './console-targets.js';
import { StartError } from './errors.js';
import { closeInspector } from './inspector.js';
import { type Log, openLog } from './log.js';
import { readServiceAuth } from './oned/service-auth.js';
import { readCertificate } from './proxy/certificate.js';
import { notifyServiceManager } from './service-manager.js';
import { readPasswordKey } from './tokens/password-key.js';
import { parseRedisUrl } from './tokens/redis/url.js';

export interface ServeOptions {
  readonly loaded: Loaded;
  /** Reads all sources again. @throws ConfigError */
  readonly load: () => Loaded;
  readonly notifySocket: string | undefined;
  readonly version: string;
}

/** Runs until SIGTERM or SIGINT. @throws StartError */
export async function serve({ loaded, load, notifySocket, version }: ServeOptions): Promise<void> {
  const log = openLog(loaded.settings.log_file, loaded.settings.debug_level);
  const { logger } = log;
  try {
    for (const warning of loaded.warnings) logger.warn(warning);
    for (const note of loaded.notes) logger.info(note);
    const app = createApp(loaded, log);
    // Before the start, for both signals would end a process that has no handler.
    let reloading: Promise<unknown> = Promise.resolve();
    process.on('SIGHUP', () => {
      // After the start and one after the other, for each may take a while.
      reloading = reloading.then(() => reload(app, load, log));
    });
    process.on('SIGUSR2', () => app.reopenLogs());
    const stopped = stopRequested();
    const starting = app.start();
    reloading = Promise.allSettled([starting]);
    const addresses = await starting;
    await closeInspector();
    const proxy = addresses.proxy.map(addressText);
    logger.info(
      { version, rpc: addressText(addresses.rpc), proxy: proxy.length > 0 ? proxy : 'off' },
      'ready',
    );
    notifyServiceManager(notifySocket, 'ready', logger);
    const signal = await stopped;
    logger.info({ signal }, 'stopping');
    notifyServiceManager(notifySocket, 'stopping', logger);
    await app.stop();
    logger.info('stopped');
  } catch (error) {
    // On standard error it is told anyway, by whoever catches it.
    if (error instanceof StartError && loaded.settings.log_file !== undefined) logger.error(error.message);
    throw error;
  } finally {
    await log.close();
  }
}

/** What a start would find wrong beyond the configuration's own words. @throws StartError */
export async function checkStart({ settings }: Loaded): Promise<void> {
  if (settings.vnc_proxy_support_wss !== 'no' && settings.vnc_proxy_port.kind !== 'off') {
    readCertificate({ cert: settings.vnc_proxy_cert, key: settings.vnc_proxy_key });
  }
  if (settings.service_auth !== undefined) readServiceAuth(settings.service_auth);
  if (settings.password_key !== undefined) readPasswordKey(settings.password_key, 'password_key');
  if (settings.token_store === 'redis') parseRedisUrl(settings.redis_url ?? '');
  await checkTargets(settings.targets);
}

async function reload(app: App, load: () => Loaded, { logger }: Log): Promise<void> {
  try {
    const loaded = load();
    const waiting = await app.reload(loaded);
    for (const warning of loaded.warnings) logger.warn(warning);
    if (waiting.length > 0) logger.warn({ keys: waiting }, 'these changes take a restart');
    logger.info('configuration reloaded');
  } catch (error) {
    const problems =
      error instanceof ConfigError
        ? error.problems
        : (error instanceof Error ? error.message : 'failed').split('\n');
    logger.error({ problems }, 'the new configuration is not used; the old one stays');
  }
}

function stopRequested(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => resolve(name));
  });
}

function addressText({ address, family, port }: { address: string; family: string; port: number }): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
