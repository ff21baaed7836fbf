// Questions over a channel between processes. What always holds: each settles once, by its answer or at its deadline.

interface Question<A> {
  settle(answer: A): void;
}

export class Questions<A> {
  private readonly open = new Map<number, Question<A>>();
  private last = 0;

  /**
   * @param send passes the question on, under its number
   * @param late what a question is worth that got no answer in time
   */
  ask(send: (question: number) => void, timeoutMs: number, late: A): Promise<A> {
    return new Promise((resolve) => {
      const question = ++this.last;
      const settle = (answer: A) => {
        clearTimeout(timer);
        this.open.delete(question);
        resolve(answer);
      };
      const timer = setTimeout(() => settle(late), timeoutMs);
      this.open.set(question, { settle });
      send(question);
    });
  }

  /** @returns false where nobody waits for it any more */
  answered(question: number, answer: A): boolean {
    const asked = this.open.get(question);
    asked?.settle(answer);
    return asked !== undefined;
  }
}
