/**
 * SIGINT and SIGTERM: the first one asks for an orderly stop, the second one ends the process at once (someone is
 * waiting at a terminal, and whatever we were doing is safe to be killed).
 */
export function onStop(handler: (signal: NodeJS.Signals) => void): () => void {
  let asked = false;
  const listener = (signal: NodeJS.Signals) => {
    if (asked) process.exit(1);
    asked = true;
    handler(signal);
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return () => {
    process.off('SIGINT', listener);
    process.off('SIGTERM', listener);
  };
}

/** An AbortSignal of the same: for loops that look at one. `release` gives the signals back. */
export function stopSignal(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, release: onStop(() => controller.abort()) };
}
