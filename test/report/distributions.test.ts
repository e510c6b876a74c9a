import { describe, expect, test } from 'vitest';
import { chiSquareAbove, tQuantile, tTwoSided } from '../../src/report/distributions.ts';

describe('t', () => {
  // printed tables of Student's t, two-sided 5 %
  test.each([
    [1, 12.7062],
    [2, 4.30265],
    [10, 2.22814],
    [30, 2.04227],
    [120, 1.97993],
    [100_000, 1.95999],
    [5_000_000, 1.95996],
    [1e12, 1.95996],
  ])('with %d degrees of freedom leaves 5 % beyond %d', (freedom, quantile) => {
    expect(tQuantile(0.95, freedom)).toBeCloseTo(quantile, 4);
    expect(tTwoSided(-quantile, freedom)).toBeCloseTo(0.05, 5);
  });
});

describe('chi-square', () => {
  test.each([
    [3.84146, 1, 0.05],
    [10.8276, 1, 0.001],
    [5.99146, 2, 0.05],
    [16.919, 9, 0.05],
    [0, 3, 1],
    [1e6, 1, 0],
  ])('%d with %d degrees of freedom has p = %d', (x, freedom, p) => {
    expect(chiSquareAbove(x, freedom)).toBeCloseTo(p, 6);
  });
});
