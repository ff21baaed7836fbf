// A store that is open for as long as the present test lasts.
import type { TokenStore } from '../../src/tokens/store.ts';
import { atEnd } from './lifetime.ts';

export async function opened<S extends TokenStore>(store: S): Promise<S> {
  await store.open();
  atEnd(() => store.close());
  return store;
}
