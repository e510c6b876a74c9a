import { InferenceError } from '../../errors.ts';

/** A response's text, as long as it stays within `most` bytes: the rest of a longer one is never fetched, nor kept. */
export async function boundedText(response: Response, most: number): Promise<string> {
  const { body } = response;
  if (body === null) return '';
  const tooLarge = () =>
    new InferenceError(
      'ANSWER_TOO_LARGE',
      `the model server's answer is larger than ${most} bytes, and was not read on`,
    );
  if (Number(response.headers.get('content-length') ?? 0) > most) {
    await body.cancel().catch(() => {});
    throw tooLarge();
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // leaving the loop cancels the body, which closes the connection
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > most) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The first `most` bytes of an error's body; what cannot be read of it is left out. */
export async function prefixOf(response: Response, most: number): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk.subarray(0, most), { stream: true });
      if (text.length >= most) break;
    }
  } catch {
    // an error that breaks off is an error all the same
  }
  return text.slice(0, most);
}
