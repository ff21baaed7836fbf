// @ts-check
// Numbers out of numbers: what is made of the measurements of one place in the table.
// What always holds: the input is left as it was, and nothing comes of an empty list but an error.

/**
 * @param {readonly number[]} values
 * @returns {number} the middle one, or the mean of the middle two
 */
export function median(values) {
  return (percentile(values, 0.5, Math.floor) + percentile(values, 0.5, Math.ceil)) / 2;
}

/**
 * @param {ArrayLike<number>} values
 * @param {number} share 0 to 1
 * @param {(position: number) => number} round which neighbour counts where the place is between two values
 */
export function percentile(values, share, round = Math.ceil) {
  const sorted = Float64Array.from(values).sort();
  const value = sorted[round(share * (sorted.length - 1))];
  if (value === undefined) throw new RangeError('no values');
  return value;
}

/**
 * How far the values lie apart, as a share of their median: (largest - smallest) / median.
 * @param {readonly number[]} values
 */
export function spread(values) {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/**
 * Three digits that count, thousands with commas: 0.0123, 1.23, 12.3, 123, 51,351.
 * @param {number} value
 */
export function shortNumber(value) {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
