// The thread that reads big replies of oned. What always holds: each question has one answer, in the order of questions.
import { parentPort } from 'node:worker_threads';
import { selectReply } from './reply.js';
import type { ThreadQuestion } from './reply-reader.js';

parentPort?.on('message', ({ reply, wanted }: ThreadQuestion) => {
  parentPort?.postMessage(selectReply(reply, wanted));
});
