// The server's time between two answers of it: the store's clock, so that hosts with wrong clocks agree.
// What always holds: the wall clock of this host is looked at only until the first answer; it is never ahead of the
// server that answered last, and behind by no more than that answer's way.

export class RedisClock {
  private readonly shift: () => number;
  /** What the server said, milliseconds since 1970, and when we heard it, on the clock of `performance.now()`. */
  private heard = { time: Date.now(), at: performance.now() };

  /** @param shift milliseconds by which tests are ahead of the server */
  constructor(shift: () => number = () => 0) {
    this.shift = shift;
  }

  get shiftMs(): number {
    return this.shift();
  }

  /** Whole milliseconds since 1970. */
  now(): number {
    return this.heard.time + Math.floor(performance.now() - this.heard.at) + this.shift();
  }

  /** @param time the server's, milliseconds since 1970, without shift */
  learn(time: number): void {
    this.heard = { time, at: performance.now() };
  }
}
