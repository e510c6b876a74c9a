/** The middle one; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The least value that a share of them does not exceed; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

/** How much y rises for each x, by least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  let up = 0;
  let down = 0;
  for (const [x, y] of points) {
    up += (x - meanX) * (y - meanY);
    down += (x - meanX) ** 2;
  }
  return up / down;
}

/** Row by row, the medians of each figure; what is no number is the first one's. */
export function medians<T extends object>(rows: readonly T[]): T {
  const entries = Object.entries(rows[0]!).map(([name, first]) => [
    name,
    typeof first === 'number' ? median(rows.map((row) => row[name as keyof T] as number)) : first,
  ]);
  return Object.fromEntries(entries) as T;
}
