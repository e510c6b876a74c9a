/** The `Ranker` port: rows of features to scores. */
export interface Ranker {
  /** the model's name and version */
  readonly name: string;
  /** names of the features, in the order of a row's values */
  readonly features: readonly string[];
  /** `rows`: one after the other, features.length values each. Returns a score a row, 0 to 1. Throws InferenceError. */
  score(rows: Float32Array): Promise<Float32Array>;
  close(): Promise<void>;
}
