// Answers that are given again. What always holds: no more of them are kept than it was told, whoever asks.

const MAX_REMEMBERED = 1_000;

/** @param answer of a text alone, always the same; @returns it, but quick for what was asked before */
export function remembered<R>(answer: (text: string) => R, max = MAX_REMEMBERED): (text: string) => R {
  const known = new Map<string, { readonly answer: R }>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found.answer;
    const fresh = { answer: answer(text) };
    if (known.size >= max) known.clear();
    known.set(text, fresh);
    return fresh.answer;
  };
}
