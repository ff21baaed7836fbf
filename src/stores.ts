// Which store keeps the tokens, by `token_store`: the one place that knows them all.
import type { Loaded } from './config/load.js';
import type { Settings } from './config/options.js';
import type { TokenStoreName } from './config/types.js';
import type { Logger } from './log.js';
import type { Prepared } from './prepared.js';
import { FileTokenStore } from './tokens/file/store.js';
import { TokenFiles } from './tokens/file/token-files.js';
import { MemoryTokenStore } from './tokens/memory/store.js';
import { readPasswordKey } from './tokens/password-key.js';
import { RedisTokenStore } from './tokens/redis/store.js';
import { parseRedisUrl } from './tokens/redis/url.js';
import { SealedTokenStore } from './tokens/sealed/store.js';
import { steadyClock } from './tokens/steady-clock.js';
import type { TokenStore } from './tokens/store.js';

interface StoreParts {
  readonly loaded: Loaded;
  readonly logger: Logger;
  readonly now: () => number;
}

export interface ChosenStore {
  readonly store: TokenStore;
  /** Reads again what the settings name. @throws StartError */
  prepare(settings: Settings): Prepared | Promise<Prepared>;
}

const nothing = (): Prepared => ({ take: () => {} });

const stores: Readonly<Record<TokenStoreName, (parts: StoreParts) => ChosenStore>> = {
  file: ({ loaded: { settings, stateFolder }, logger, now }) => {
    const websockifyFolderName = settings.websockify_files ? settings.token_folder_name : undefined;
    const files = new TokenFiles({ stateFolder, websockifyFolderName });
    return { store: new FileTokenStore({ files, logger, now }), prepare: nothing };
  },
  memory: ({ now }) => ({ store: new MemoryTokenStore({ now }), prepare: nothing }),
  redis: ({ loaded: { settings }, logger }) => {
    const { redis_url: url, redis_prefix: prefix, password_key: file } = settings;
    const address = parseRedisUrl(url ?? '');
    const secret = file === undefined ? undefined : readPasswordKey(file, 'password_key');
    return {
      store: new RedisTokenStore({ address, prefix, secret, logger }),
      prepare: nothing,
    };
  },
  sealed: ({ loaded: { settings }, now }) => {
    const store = new SealedTokenStore({ keysFile: settings.sealed_keys ?? '', now });
    return {
      store,
      prepare: async ({ sealed_keys: file }) => ({ take: await store.prepareKeys(file ?? '') }),
    };
  },
};

/** Whether records or tokens of other services come into it, those of other zones among them. */
export function isShared(name: TokenStoreName): boolean {
  return name === 'redis' || name === 'sealed';
}

/** @throws StartError naming the setting */
export function createStore(loaded: Loaded, logger: Logger): ChosenStore {
  return stores[loaded.settings.token_store]({ loaded, logger, now: steadyClock() });
}
