/**
 * Names of categories, brands and sellers as small numbers, so that state in memory is made of integers and equality is
 * one comparison, with nothing lost. Never persisted: bytes on disk hold the names themselves.
 * A dictionary only grows; past `LIMIT` names the labeller begins a new one and moves users over as they come.
 */
export class Dictionary {
  static readonly LIMIT = 2_000_000;
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];

  get full(): boolean {
    return this.#names.length >= Dictionary.LIMIT;
  }

  /** -1 for null. */
  id(name: string | null): number {
    if (name === null) return -1;
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.#names.length;
    this.#names.push(name);
    this.#ids.set(name, id);
    return id;
  }

  name(id: number): string | null {
    return id < 0 ? null : this.#names[id];
  }
}
