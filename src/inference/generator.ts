/**
 * The `Generator` port: a model that answers a chat. What it says is untrusted text, whatever schema it was given: a
 * server may ignore the schema without a word, so whoever asks reads the answer as if there had been none.
 */
export interface ChatMessage {
  role: 'system' | 'user';
  content: string;
}

/** A JSON schema that the answer should follow. */
export interface AnswerSchema {
  name: string;
  schema: object;
}

export interface GenerateRequest {
  messages: readonly ChatMessage[];
  schema: AnswerSchema | null;
  temperature: number;
  maxTokens: number;
  seed?: number;
}

export interface Generated {
  text: string;
  /** as the server counts them; 0 where it says nothing */
  promptTokens: number;
  completionTokens: number;
  /** `length`: the answer was cut at maxTokens */
  finishReason: string | null;
}

export interface Generator {
  /** the model's name */
  readonly name: string;
  /** Throws InferenceError, or the signal's reason. */
  generate(request: GenerateRequest, signal: AbortSignal): Promise<Generated>;
}
