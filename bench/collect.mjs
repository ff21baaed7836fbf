// @ts-check
// Preloaded into relays whose memory is weighed: told so, they collect their garbage, of which V8 lets gather as much
// as it pleases. What always holds: whoever has not loaded this ignores the signal.

/** Ignored by default (signal(7)). */
const collectSignal = 'SIGWINCH';
/** What a first collection finalizes the second one frees. */
const collections = 2;

process.on(collectSignal, () => {
  for (let i = 0; i < collections; i++) globalThis.gc?.();
});
