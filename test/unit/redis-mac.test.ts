// What proves that a host of ours wrote something: nothing else opens, whatever is changed, moved or left out.
import { createSecretKey } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Distrust, type Doubt } from '../../src/tokens/redis/distrust.ts';
import { type MacPurpose, RedisMac } from '../../src/tokens/redis/mac.ts';

const secret = createSecretKey(Buffer.alloc(32, 7));
const mac = new RedisMac(secret);
const json = '{"version":2,"grant":{"vmId":7,"target":{"host":"node1","port":5907},"user":"Zoë"}}';
const signed = mac.sign('record', 'vnctoken:token:aa', json);

describe('the MAC of a record', () => {
  it('gives back what was signed, which stays JSON, by every host with the same secret', () => {
    expect(new RedisMac(secret).open('record', 'vnctoken:token:aa', signed)).toEqual({ json });
    expect(JSON.parse(signed)).toMatchObject(JSON.parse(json));
    expect(signed).not.toContain(secret.export().toString('base64url'));
  });

  it.each<[what: string, text: string, problem: string]>([
    ['another port', signed.replace('5907', '22'), 'wrong'],
    ['another host', signed.replace('node1', 'node2'), 'wrong'],
    ['another user', signed.replace('Zoë', 'Zoe'), 'wrong'],
    ['one more member', signed.replace('"version"', '"more":1,"version"'), 'wrong'],
    ['a member twice', signed.replace('}}', '},"grant":{"vmId":8}}'), 'wrong'],
    ['a space behind it', `${signed} `, 'wrong'],
    ['a space in it', signed.replace('"user":', '"user": '), 'wrong'],
    ['the end cut off', signed.slice(0, -1), 'wrong'],
    ['nothing but the head', signed.slice(0, signed.indexOf('"version"')), 'wrong'],
    ['another MAC', signed.replace(/"mac":"./, '"mac":"_'), 'wrong'],
    ['a MAC in another case', signed.replace(/"mac":"([^"]+)"/, (all) => all.toUpperCase()), 'none'],
    ['no MAC', signed.replace(/"mac":"[^"]+",/, ''), 'none'],
    ['an empty MAC', signed.replace(/"mac":"[^"]+"/, '"mac":""'), 'none'],
    ['a MAC that is too long', signed.replace('"mac":"', '"mac":"A'), 'none'],
    ['MAC and key in another order', signed.replace(/("key":"[^"]+"),("mac":"[^"]+")/, '$2,$1'), 'none'],
    ['a MAC with a line break', signed.replace(/"mac":"./, '"mac":"\n'), 'none'],
    ['a space before it', ` ${signed}`, 'none'],
    ['the name of another key', signed.replace(/"key":"./, '"key":"_'), 'other key'],
    ['what was written before there was a MAC', json.replace('2', '1'), 'none'],
    ['nothing', '', 'none'],
    ['no JSON', 'trial', 'none'],
  ])('does not fit %s', (_what, text, problem) => {
    expect(text).not.toBe(signed);
    expect(mac.open('record', 'vnctoken:token:aa', text)).toBe(problem);
  });

  it.each<[what: string, purpose: MacPurpose, place: string]>([
    ['another token', 'record', 'vnctoken:token:ab'],
    ['another prefix', 'record', 'other:token:aa'],
    ['a channel', 'message', 'vnctoken:token:aa'],
    ['a name that runs into the record', 'record', 'vnctoken:token:aa\0'],
  ])('does not fit in the place of %s', (_what, purpose, place) => {
    expect(mac.open(purpose, place, signed)).toBe('wrong');
  });

  it('is another one for each secret, key or password', () => {
    const others = [createSecretKey(Buffer.alloc(32, 8)), '', 'password', 'Password'].map(
      (one) => new RedisMac(one),
    );
    const texts = [mac, ...others].map((one) => one.sign('record', 'k', json));
    expect(new Set(texts).size).toBe(5);
    for (const text of texts.slice(1)) expect(mac.open('record', 'k', text)).toBe('other key');
    expect(new RedisMac('password').open('record', 'k', texts[3] ?? '')).toEqual({ json });
  });
});

describe('what the log says of things that are not believed', () => {
  it('is one line a minute for each kind, however many there are', () => {
    const lines: string[] = [];
    let now = 0;
    const distrust = new Distrust(pino({}, { write: (line: string) => void lines.push(line) }), () => now);
    const doubts: Doubt[] = ['none', 'other key', 'wrong', 'no record', 'no message'];
    const tellAll = () => {
      for (const doubt of doubts) distrust.tell(doubt, { fingerprint: 'abc' });
    };
    for (; now < 60_000; now += 100) tellAll();
    expect(lines).toHaveLength(5);
    expect(lines.filter((line) => line.includes('password_key'))).toHaveLength(2);
    tellAll();
    expect(lines).toHaveLength(10);
  });
});
