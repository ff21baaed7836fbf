// A worker's way to ask the control plane about a token. What always holds: each question settles once, also when the
// control plane is slow or gone, and then it is "unavailable", never a refusal.
import type { RedeemToken } from '../console/redeem.js';
import { GatewayError } from '../errors.js';
import type { Grant } from '../tokens/grant.js';
import type { RedeemAnswer, ToPrimary } from './messages.js';

const ANSWER_TIMEOUT_MS = 5_000;

interface Question {
  settle(answer: RedeemAnswer): void;
}

export class RedeemChannel {
  private readonly send: (message: ToPrimary) => void;
  private readonly questions = new Map<number, Question>();
  private lastQuestion = 0;

  constructor(send: (message: ToPrimary) => void) {
    this.send = send;
  }

  readonly redeem: RedeemToken = (hash) =>
    new Promise<Grant>((resolve, reject) => {
      const question = ++this.lastQuestion;
      const settle = (answer: RedeemAnswer) => {
        clearTimeout(timer);
        this.questions.delete(question);
        if ('grant' in answer) resolve(answer.grant);
        else reject(new GatewayError(answer.refused, { detail: answer.detail }));
      };
      const late = { refused: 'store-unavailable', detail: 'the control plane does not answer' } as const;
      const timer = setTimeout(() => settle(late), ANSWER_TIMEOUT_MS);
      this.questions.set(question, { settle });
      this.send({ type: 'redeem', question, hash });
    });

  answered(question: number, answer: RedeemAnswer): void {
    this.questions.get(question)?.settle(answer);
  }
}
