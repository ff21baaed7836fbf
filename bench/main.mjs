// @ts-check
// `npm run bench`: this proxy and its peers under the same loads, on this machine.
// What always holds: it ends by itself, and with everything that it started, however it ends.
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopAll } from './child-process.mjs';
import { updateDocument } from './document.mjs';
import { describeMachine, inspectMachine } from './machine.mjs';
import { parseOptions, usage } from './options.mjs';
import { reportTables } from './report.mjs';
import { Run } from './run.mjs';
import { setStage } from './stage.mjs';

const document = new URL('../docs/benchmark.md', import.meta.url);
const memoryFolder = '/dev/shm';
const startedAt = performance.now();

/** @param {string} text */
function tell(text) {
  process.stderr.write(`${Math.round((performance.now() - startedAt) / 1000)} s: ${text}\n`);
}

/**
 * @param {import('./options.mjs').Plan} plan
 * @param {string} folder
 */
async function bench(plan, folder) {
  const machine = inspectMachine();
  const { idleSessions } = plan;
  const sessions = Math.min(idleSessions, machine.maxSessions);
  const stage = await setStage(plan, machine, folder);
  for (const reason of stage.absent) tell(reason);
  const run = new Run({ ...plan, idleSessions: sessions }, stage, tell);
  await run.execute();
  const facts = [
    ['date', new Date().toISOString().slice(0, 10)],
    ...describeMachine(machine),
    [
      'rounds',
      `${plan.rounds}, ${Math.round((performance.now() - startedAt) / 1000)} s; ${sessions} idle sessions`,
    ],
    ['left out', stage.absent.join(' ') || 'nothing'],
  ];
  const text = [
    ['| | |', '|---|---|', ...facts.map(([name, value]) => `| ${name} | ${value} |`)].join('\n'),
    reportTables(run.samples, stage.kinds),
  ].join('\n\n');
  process.stdout.write(`${text}\n`);
  if (plan.json !== undefined)
    writeFileSync(plan.json, `${JSON.stringify({ facts, samples: run.samples }, undefined, 2)}\n`);
  if (plan.complete) updateDocument(document, text);
}

function readPlan() {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exit(2);
  }
}

/**
 * In memory where that is to be had: how long a disk's file system takes to create a file depends on what was done with
 * it before (ext4 passes over inodes that were freed within the last seconds), and is not what is compared.
 */
function scratchFolder() {
  try {
    accessSync(memoryFolder, constants.W_OK);
    return memoryFolder;
  } catch {
    return tmpdir();
  }
}

async function main() {
  const plan = readPlan();
  if (plan === undefined) return void process.stdout.write(usage);
  const folder = mkdtempSync(join(scratchFolder(), 'vnctoken-bench-'));
  let ending = false;
  const end = async (/** @type {number} */ code, /** @type {unknown} */ why) => {
    if (ending) return;
    ending = true;
    if (why !== undefined) process.stderr.write(`${why instanceof Error ? why.stack : why}\n`);
    await stopAll();
    rmSync(folder, { recursive: true, force: true });
    process.exit(code);
  };
  process.once('SIGINT', () => end(130, 'interrupted'));
  process.once('SIGTERM', () => end(143, 'told to end'));
  process.once('uncaughtException', (error) => end(1, error));
  setTimeout(() => end(1, 'this took too long'), plan.deadlineMs).unref();
  await bench(plan, folder).then(
    () => end(0, undefined),
    (error) => end(1, error),
  );
}

await main();
