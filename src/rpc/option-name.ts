// Names of options, and what is nearly one. What always holds: a name counts exactly as it is written, and one that was
// probably meant is told instead of being ignored, for the option restricts.

/** The options of a call that restrict what its token allows. */
export const optionNames = ['view_only', 'clipboard'] as const;
export type OptionName = (typeof optionNames)[number];

/** Without what stands between words. */
const MEANT: Readonly<Record<OptionName, readonly string[]>> = {
  view_only: ['viewonly', 'onlyview', 'readonly'],
  clipboard: ['clipboard', 'copypaste'],
};
/** Letters too many, too few, wrong or changed over. */
const MAX_SLIPS = 2;
const MAX_NAME_LENGTH = 64;

export function isOption(name: string): name is OptionName {
  return optionNames.some((option) => option === name);
}

/**
 * The option that a name probably means: in another case or spelling, with something around it, of characters that look
 * alike, with a slip. Undefined for one that resembles none.
 */
export function resembledOption(name: string): OptionName | undefined {
  const letters = lettersOf(name.slice(0, MAX_NAME_LENGTH));
  return optionNames.find((option) =>
    MEANT[option].some((meant) => letters.includes(meant) || isSlipOf(letters, meant)),
  );
}

/** The option that is probably meant anywhere in a text that has no form; one word, or two beside each other. */
export function mentionedOption(text: string): OptionName | undefined {
  const letters = lettersOf(text);
  const words = text.split(/[^\p{L}\p{N}]+/u);
  return (
    optionNames.find((option) => MEANT[option].some((meant) => letters.includes(meant))) ??
    words
      .flatMap((word, index) => [word, word + (words[index + 1] ?? '')])
      .map(resembledOption)
      .find(isNamed)
  );
}

/** Without what stands between them, in one case, and of what looks alike in one form. */
function lettersOf(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '');
}

function isNamed(option: OptionName | undefined): option is OptionName {
  return option !== undefined;
}

/** Compares with at most so many slips; a letter of another alphabet passes for any, as long as they are not half. */
function isSlipOf(letters: string, meant: string): boolean {
  const characters = [...letters];
  if (Math.abs(characters.length - meant.length) > MAX_SLIPS) return false;
  const foreign = characters.filter((character) => character > '\x7f').length;
  if (foreign * 2 > characters.length || lettersMissing(letters, meant) > MAX_SLIPS + foreign) return false;
  return distance(characters, meant) <= MAX_SLIPS;
}

/** Of those that are meant, in whatever order: what most names fail at, before it costs more. */
function lettersMissing(letters: string, meant: string): number {
  let rest = letters;
  let missing = 0;
  for (const letter of meant) {
    const at = rest.indexOf(letter);
    if (at === -1) missing++;
    else rest = rest.slice(0, at) + rest.slice(at + 1);
  }
  return missing;
}

/** Damerau's and Levenshtein's, neighbours only. */
function distance(characters: readonly string[], meant: string): number {
  let before: number[] = [];
  let above = Array.from({ length: meant.length + 1 }, (_, column) => column);
  for (const [row, character] of characters.entries()) {
    const line = [row + 1];
    for (let column = 0; column < meant.length; column++) {
      const same = character === meant[column] || character > '\x7f';
      const isChangedOver = character === meant[column - 1] && characters[row - 1] === meant[column];
      line.push(
        Math.min(
          (above[column] ?? 0) + (same ? 0 : 1),
          (above[column + 1] ?? 0) + 1,
          (line[column] ?? 0) + 1,
          isChangedOver ? (before[column - 1] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    // No later row can come back below that, a change of neighbours from the row above included.
    if (Math.min(...line) > MAX_SLIPS && Math.min(...above) >= MAX_SLIPS) return Number.POSITIVE_INFINITY;
    before = above;
    above = line;
  }
  return above[meant.length] ?? 0;
}
