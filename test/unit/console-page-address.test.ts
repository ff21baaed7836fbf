// What the console page reads out of its address, and that nothing of it stays there.
import { describe, expect, it } from 'vitest';
import { readFragment, socketUrl, takeAddress } from '../../src/web/page/address.ts';

const token = 'abcdefghijklmnopqrstuvwxyz012345';

describe('the fragment of the console page', () => {
  it.each([
    ['token and password', `#token=${token}&password=secret12`, { token, password: 'secret12' }],
    ['the order does not matter', `#password=p&token=${token}`, { token, password: 'p' }],
    ['a token alone', `#token=${token}`, { token, password: undefined }],
    ['an empty password is none', `#token=${token}&password=`, { token, password: undefined }],
    [
      'percent-encoded values',
      `#token=${token}&password=a%26b%3Dc%23%20%E2%82%AC`,
      { token, password: 'a&b=c# €' },
    ],
    ['a plus is a plus', `#token=${token}&password=a+b%2Bc`, { token, password: 'a+b+c' }],
    ['an equals sign in a value', `#token=${token}&password=a==`, { token, password: 'a==' }],
    [
      'a password that cannot be decoded is asked for',
      `#token=${token}&password=50%`,
      { token, password: undefined },
    ],
    ['of a name given twice the first counts', `#token=${token}&token=other`, { token, password: undefined }],
    ['unknown names are ignored', `#view=1&token=${token}&x`, { token, password: undefined }],
    ['an encrypted token has dots', '#token=eyJh.b-_.c..d', { token: 'eyJh.b-_.c..d', password: undefined }],
  ])('%s', (_title, fragment, link) => {
    expect(readFragment(fragment)).toEqual({ kind: 'link', link });
  });

  it.each(['', '#', '#password=x', '#tokens=x', '#/some/route'])('%j holds no link', (fragment) => {
    expect(readFragment(fragment)).toEqual({ kind: 'empty' });
  });

  it.each([
    '#token',
    '#token=',
    '#token=a%20b',
    '#token=a,b',
    '#token=%zz',
    '#token=%0d%0a',
    `#token=${'a'.repeat(9000)}`,
  ])('%.20j is a damaged link', (fragment) => {
    expect(readFragment(fragment)).toEqual({ kind: 'damaged' });
  });
});

describe('taking the link', () => {
  const place = (href: string) => {
    const replaced: unknown[][] = [];
    const history = { replaceState: (...args: unknown[]) => void replaced.push(args) };
    return { replaced, window: { location: { href, hash: new URL(href).hash }, history } };
  };

  it('erases the fragment from the address and leaves nothing in the history', () => {
    const { replaced, window } = place(`https://cloud.example/one/console/?a=b#token=${token}&password=p`);
    expect(takeAddress(window)).toEqual({ kind: 'link', link: { token, password: 'p' } });
    expect(replaced).toEqual([[null, '', 'https://cloud.example/one/console/?a=b']]);
  });

  it('erases a damaged link too', () => {
    const { replaced, window } = place('https://cloud.example/console/#token=a%20b');
    expect(takeAddress(window)).toEqual({ kind: 'damaged' });
    expect(replaced).toHaveLength(1);
  });

  it('leaves an address without a fragment alone', () => {
    const { replaced, window } = place('https://cloud.example/console/');
    expect(takeAddress(window)).toEqual({ kind: 'empty' });
    expect(replaced).toHaveLength(0);
  });
});

describe('the WebSocket of the page', () => {
  it.each([
    ['http://cloud.example:29876/console/', 'ws://cloud.example:29876/websockify'],
    ['https://cloud.example/console/', 'wss://cloud.example/websockify'],
    ['https://cloud.example/one/vnc/console/', 'wss://cloud.example/one/vnc/websockify'],
    ['https://cloud.example/console/index.html', 'wss://cloud.example/websockify'],
    [`https://cloud.example/console/?lang=de#token=${token}`, 'wss://cloud.example/websockify'],
    ['http://[::1]:29876/console/', 'ws://[::1]:29876/websockify'],
  ])('of %s is %s', (page, socket) => {
    expect(socketUrl(page)).toBe(socket);
  });
});
