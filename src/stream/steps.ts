/**
 * The engine is synchronous except where it must read the disk: there it yields the promise to wait for. So one code
 * runs on RocksDB (`finish`, awaiting each) and in the test driver (`finishNow`, where nothing is ever waited for),
 * and the hot path holds no promise.
 */
export type Steps<T = void> = Generator<Promise<unknown>, T, void>;

/** Yields only where the value is not there yet. */
export function* awaited<T>(value: T | Promise<T>): Steps<T> {
  if (!(value instanceof Promise)) return value;
  let result: T;
  yield value.then((resolved) => {
    result = resolved;
  });
  return result!;
}

export async function finish<T>(steps: Steps<T>): Promise<T> {
  let step = steps.next();
  while (step.done !== true) {
    try {
      await step.value;
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next();
  }
  return step.value;
}

export function finishNow<T>(steps: Steps<T>): T {
  const step = steps.next();
  if (step.done !== true) throw new Error('a backend in memory must answer at once');
  return step.value;
}
