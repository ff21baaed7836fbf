// @ts-check
// The load generator, a process of its own: plays the browsers of every load, and the portals.
// What always holds: one order at a time; nothing of this process is counted.
import { answerOrders } from './helper.mjs';
import { runBulk } from './loads/bulk.mjs';
import { runCalls } from './loads/calls.mjs';
import { runConnect } from './loads/connect.mjs';
import { runEcho } from './loads/echo.mjs';
import { closeIdle, openIdle } from './loads/idle.mjs';
import { runScreen } from './loads/screen.mjs';

answerOrders({
  screen: runScreen,
  bulk: runBulk,
  echo: runEcho,
  connect: runConnect,
  openIdle,
  closeIdle,
  calls: runCalls,
});
