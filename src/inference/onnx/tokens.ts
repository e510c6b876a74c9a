import { Tokenizer } from '@huggingface/tokenizers';
import { messageOf } from '../../errors.ts';
import { badModel, type ModelFolder } from './model-folder.ts';

export const TOKENIZER_FILE = 'tokenizer.json';

/** The tokenizer of a folder. Throws InferenceError BAD_MODEL. */
export function tokenizerOf(folder: string, model: ModelFolder<unknown>): Tokenizer {
  const json = model.json(TOKENIZER_FILE) as object;
  try {
    return new Tokenizer(json, { clean_up_tokenization_spaces: false });
  } catch (error) {
    throw badModel(folder, `${TOKENIZER_FILE} is no tokenizer: ${messageOf(error)}`, error);
  }
}

/** Of a token that the manifest names. Throws InferenceError BAD_MODEL. */
export function idOf(folder: string, tokenizer: Tokenizer, token: string): number {
  const id = tokenizer.token_to_id(token);
  if (id === undefined) throw badModel(folder, `${TOKENIZER_FILE} has no token ${JSON.stringify(token)}`);
  return id;
}
