/**
 * The `Sampler` port: a language model that continues one prompt many times (paper, 4.4: 30 titles a user). What it says is
 * untrusted text.
 */
export interface SampleRequest {
  /** of a model that chats; null: there is none */
  system: string | null;
  prompt: string;
  samples: number;
  temperature: number;
  /** 1: none */
  repetitionPenalty: number;
  /** of one sample */
  maxTokens: number;
  /** equal requests with equal seeds give equal samples where the engine can do that */
  seed: number;
}

export interface Sample {
  text: string;
  /** mean of its tokens; null where the engine does not say */
  logprob: number | null;
  /** false: cut at maxTokens */
  finished: boolean;
}

export interface Sampled {
  samples: Sample[];
  /** as the engine counts them; 0 where it says nothing */
  promptTokens: number;
  completionTokens: number;
}

export interface Sampler {
  /** the model's name and version */
  readonly name: string;
  /** the prompt that the model was trained on; null: whichever the request names */
  readonly promptVersion: string | null;
  /** Throws InferenceError, or the signal's reason. */
  sample(request: SampleRequest, signal: AbortSignal): Promise<Sampled>;
  close(): Promise<void>;
}
