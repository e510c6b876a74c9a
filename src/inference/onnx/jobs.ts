/** What the host and its thread say to one another. */
export interface TensorData {
  type: 'float32' | 'int64';
  data: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>;
  dims: number[];
}

/** One run of the model. */
export interface RunJob {
  kind: 'run';
  inputs: Record<string, TensorData>;
  outputs: string[];
}
export type RunResult = Record<string, { data: Float32Array<ArrayBuffer>; dims: number[] }>;

/** One prompt, continued many times. The whole loop is one job: the cache of keys and values never leaves the thread. */
export interface DecodeJob {
  kind: 'decode';
  prompt: number[];
  samples: number;
  /** 0: always the likeliest token */
  temperature: number;
  repetitionPenalty: number;
  /** of one sample, the one that ends it included */
  maxTokens: number;
  seed: number;
  /** tokens that end a sample */
  ends: number[];
  /** tokens that are never sampled */
  never: number[];
}
export interface Decoded {
  /** without the one that ended it */
  tokens: number[];
  /** mean over its tokens, the one that ended it included */
  logprob: number;
  finished: boolean;
}

export type Job = RunJob | DecodeJob;
export type ResultOf<J extends Job> = J extends RunJob ? RunResult : Decoded[];

export interface ThreadData {
  model: string;
  /** that one run may use */
  threads: number;
  /** one number, 1 while the thread may be within the engine */
  busy: Int32Array;
}

export type ToThread =
  /** `stop`: one number, not 0 when nobody waits for the result any more */
  { kind: 'job'; job: Job; stop: Int32Array } | { kind: 'close' };

/** An input or output; a dimension without a fixed size has a name. */
export interface Port {
  name: string;
  type: string;
  shape: readonly (number | string)[];
}

export type FromThread =
  | { kind: 'ready'; inputs: Port[]; outputs: Port[] }
  /** the engine, or the model, cannot be loaded */
  | { kind: 'refused'; what: 'engine' | 'model'; message: string }
  | { kind: 'done'; result: RunResult | Decoded[] }
  | { kind: 'failed'; message: string };
