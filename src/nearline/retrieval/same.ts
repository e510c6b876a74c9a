/** One object for equal texts and lists of texts: a catalog names its categories and brands in every item anew. */
export class Same {
  readonly #texts = new Map<string, string>();
  readonly #lists = new Map<string, readonly string[]>();

  text<T extends string | null>(text: T): T {
    if (text === null) return text;
    const known = this.#texts.get(text);
    if (known === undefined) this.#texts.set(text, text);
    return (known ?? text) as T;
  }

  texts(list: readonly string[]): readonly string[] {
    const key = JSON.stringify(list);
    let known = this.#lists.get(key);
    if (known === undefined) {
      known = list;
      this.#lists.set(key, known);
    }
    return known;
  }
}
