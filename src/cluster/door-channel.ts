// A worker's way to the gate of the control plane. What always holds: each knock settles once, also when the control
// plane is slow or gone, and then it is "unavailable", never a refusal; who was let in too late is told as closed.
import type { Admitted, Door, Knock, SessionEnd } from '../console/gate.js';
import { GatewayError } from '../errors.js';
import type { SessionId } from '../tokens/record.js';
import type { OpenAnswer, ToPrimary } from './messages.js';
import { Questions } from './questions.js';

/** The control plane itself waits for a probe (5 s) and for oned (10 s at its default) in the worst case. */
const ANSWER_TIMEOUT_MS = 20_000;

const NO_ANSWER: OpenAnswer = { refused: 'store-unavailable', detail: 'the control plane does not answer' };

export class DoorChannel implements Door {
  private readonly send: (message: ToPrimary) => void;
  private readonly questions = new Questions<OpenAnswer>();

  constructor(send: (message: ToPrimary) => void) {
    this.send = send;
  }

  async open(knock: Knock): Promise<Admitted> {
    const ask = (question: number) => this.send({ type: 'open', question, knock });
    const answer = await this.questions.ask(ask, ANSWER_TIMEOUT_MS, NO_ANSWER);
    if ('admitted' in answer) return answer.admitted;
    throw new GatewayError(answer.refused, { detail: answer.detail });
  }

  closed(session: SessionId, end: SessionEnd): void {
    this.send({ type: 'closed', session, end });
  }

  opened(question: number, answer: OpenAnswer): void {
    if (this.questions.answered(question, answer) || !('admitted' in answer)) return;
    const end = { reason: 'let in too late', bytesToBrowser: 0, bytesToTarget: 0, seconds: 0 };
    this.closed(answer.admitted.session, end);
  }
}
