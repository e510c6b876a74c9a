/** One token out of a row of logits. */
export interface PickOptions {
  /** 0: the likeliest one */
  temperature: number;
  /**
   * For tokens that were there before, in the prompt or the sample: a positive logit is divided by it, a negative one
   * multiplied. As vLLM and transformers have it.
   */
  repetitionPenalty: number;
  /** 1 for each token that was there before */
  seen: Uint8Array;
  /** 1 for each token that is never taken */
  never: Uint8Array;
  /** from 0 to below 1 */
  random: () => number;
}

export interface Picked {
  token: number;
  /** by the model alone, before penalty and temperature */
  logprob: number;
}

/** Throws where no logit is a number: the model is broken. */
export function pick(logits: Float32Array, options: PickOptions): Picked {
  const { temperature, seen, never, repetitionPenalty: penalty, random } = options;
  const scores = new Float64Array(logits.length);
  let best = -1;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    scores[i] = never[i] === 1 ? -Infinity : seen[i] === 0 ? logit : logit > 0 ? logit / penalty : logit * penalty;
    if (scores[i]! > (best < 0 ? -Infinity : scores[best]!)) best = i;
  }
  if (best < 0) throw new Error('the model gives no token a number');
  const token = temperature === 0 ? best : drawn(scores, scores[best]!, temperature, random());
  return { token, logprob: logprobOf(logits, token) };
}

/** By chance, each token with the weight that the temperature leaves it. */
function drawn(scores: Float64Array, most: number, temperature: number, chance: number): number {
  let sum = 0;
  const weights = scores.map((score) => {
    const weight = Math.exp((score - most) / temperature);
    sum += weight;
    return weight;
  });
  let left = chance * sum;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    left -= weights[i]!;
    if (left < 0) break;
  }
  return last;
}

function logprobOf(logits: Float32Array, token: number): number {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return logits[token]! - most - Math.log(sum);
}

/** Numbers from 0 to below 1, the same for the same seed and row (Mulberry32 from a mixed start). */
export function randomOf(seed: number, row: number): () => number {
  let state = mixed(
    mixed(seed >>> 0) ^ mixed((Math.floor(seed / 2 ** 32) >>> 0) ^ 0x9e3779b9) ^ Math.imul(row + 1, 0x85ebca6b),
  );
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function mixed(number: number): number {
  let h = number;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
