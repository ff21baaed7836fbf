// Places for connections of an address, of one process and borrowed of the host: never more than there are, each given
// back once, and nothing kept of an address that has none.
import { describe, expect, it } from 'vitest';
import { AddressPlaces, HostPlaces, type LeavePlace, sharePlaces } from '../../src/address-places.ts';
import { seededRandom } from '../support/random.ts';

const address = '192.0.2.1';

/** Two workers that borrow from one host, whose answers come when the test says so. */
function startHost(own: number, common: number) {
  const host = new HostPlaces<object>(common);
  const answers: (() => void)[] = [];
  const worker = () => {
    const self = {};
    const places = new AddressPlaces({
      own,
      borrow: (network, count) =>
        new Promise((resolve) => {
          answers.push(() => resolve(host.borrow(self, network, count)));
        }),
      giveBack: (network, count) => host.giveBack(self, network, count),
    });
    return { self, places };
  };
  const answerAll = async () => {
    do {
      for (const answer of answers.splice(0)) answer();
      await new Promise((resolve) => setImmediate(resolve));
    } while (answers.length > 0);
  };
  return { host, first: worker(), second: worker(), answerAll };
}

describe('places of one process', () => {
  it('are so many, by address, and come back once', () => {
    const places = new AddressPlaces(2);
    const [one, two] = [places.enter(address), places.enter(address)] as LeavePlace[];
    expect(places.enter(address)).toBeUndefined();
    expect(places.enter('192.0.2.2')).toBeTypeOf('function');
    one?.();
    one?.();
    expect(places.enter(address)).toBeTypeOf('function');
    expect(places.enter(address)).toBeUndefined();
    two?.();
    expect(places.enter(address)).toBeTypeOf('function');
  });

  it('are those of a /64', () => {
    const places = new AddressPlaces(1);
    expect(places.enter('2001:db8::1')).toBeTypeOf('function');
    expect(places.enter('2001:db8::2')).toBeUndefined();
    expect(places.enter('2001:db8:0:1::2')).toBeTypeOf('function');
  });
});

describe('places of a host', () => {
  it('are borrowed when the own ones are taken, and nobody gets in before the answer', async () => {
    const { first, answerAll } = startHost(1, 8);
    expect(first.places.enter(address)).toBeTypeOf('function');
    const waiting = first.places.enter(address);
    let answered = false;
    void Promise.resolve(waiting).then(() => {
      answered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    await answerAll();
    expect(await waiting).toBeTypeOf('function');
    expect(first.places.enter(address)).toBeTypeOf('function');
  });

  it('are no more for several processes than they are for one', async () => {
    const { first, second, answerAll } = startHost(2, 20);
    const entered: (LeavePlace | undefined)[] = [];
    for (let i = 0; i < 40; i++) {
      for (const { places } of [first, second]) {
        const place = places.enter(address);
        void Promise.resolve(place).then((leave) => entered.push(leave));
        await answerAll();
      }
    }
    expect(entered.filter(Boolean).length).toBe(2 + 2 + 20);
    for (const leave of entered) leave?.();
    const again = await Promise.all([first.places.enter(address), answerAll()]);
    expect(again[0]).toBeTypeOf('function');
  });

  it('of a process that is gone are free again', async () => {
    const { host, first, second, answerAll } = startHost(0, 8);
    const taken = first.places.enter(address);
    await answerAll();
    expect(await taken).toBeTypeOf('function');
    const refused = second.places.enter(address);
    await answerAll();
    expect(await refused).toBeUndefined();
    host.forget(first.self);
    const free = second.places.enter(address);
    await answerAll();
    expect(await free).toBeTypeOf('function');
  });

  it('are waited for by so many, and more are refused at once', () => {
    const { first } = startHost(0, 8);
    const entered = Array.from({ length: 100 }, () => first.places.enter(address));
    expect(entered.filter((place) => place === undefined).length).toBe(100 - 64);
  });

  it('are never exceeded and never lost, whatever comes and goes', async () => {
    const random = seededRandom(11);
    const { host, first, second, answerAll } = startHost(3, 30);
    const inside = new Set<LeavePlace>();
    for (let step = 0; step < 3000; step++) {
      const { places } = random(100) < 50 ? first : second;
      if (random(100) < 55) {
        void Promise.resolve(places.enter(address)).then((leave) => leave && inside.add(leave));
      } else {
        const [leave] = inside;
        if (leave !== undefined && inside.delete(leave)) leave();
      }
      if (random(100) < 30) await answerAll();
      expect(inside.size).toBeLessThanOrEqual(3 + 3 + 30);
    }
    await answerAll();
    for (const leave of inside) leave();
    expect(host.borrow({}, address, 1000)).toBe(30);
  });
});

it.each([
  [1, 4],
  [2, 4],
  [8, 4],
  [16, 4],
  [64, 4],
  [500, 4],
])('of %s workers in %s generations are no more than those of the host', (workers, generations) => {
  const { own, common } = sharePlaces(256, workers, generations);
  expect(own * workers * generations + common).toBe(256);
  expect(common).toBeGreaterThanOrEqual(128);
  expect(own).toBeGreaterThanOrEqual(0);
});
