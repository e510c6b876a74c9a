/** The thread of one model: `session.run` blocks the thread that calls it. Jobs come one at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { messageOf } from '../../errors.ts';
import { CachedModel } from './cached-model.ts';
import { decode } from './decode.ts';
import type { FromThread, Job, Port, RunJob, RunResult, ThreadData, ToThread } from './jobs.ts';

const port = parentPort!;
const { model, threads, busy } = workerData as ThreadData;

/** The last of whatever was asked: the engine has nothing to do from here on. */
const say = (message: FromThread, transfer: ArrayBuffer[] = []): void => {
  Atomics.store(busy, 0, 0);
  Atomics.notify(busy, 0);
  port.postMessage(message, transfer);
};

const ort = await import('onnxruntime-node').catch((error: unknown) => {
  say({ kind: 'refused', what: 'engine', message: messageOf(error) });
});
const session =
  ort &&
  (await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  }).catch((error: unknown) => {
    say({ kind: 'refused', what: 'model', message: messageOf(error) });
  }));

if (ort && session) {
  const cached = new CachedModel(session, ort.Tensor);

  const run = async (job: RunJob): Promise<RunResult> => {
    const feeds: Record<string, Tensor> = {};
    for (const [name, { type, data, dims }] of Object.entries(job.inputs)) {
      feeds[name] = new ort.Tensor(type, data as Float32Array, dims);
    }
    const given = await session.run(feeds, job.outputs);
    return Object.fromEntries(
      job.outputs.map((name) => {
        const { data, dims } = given[name]!;
        // a copy: the engine's own memory cannot be handed over
        return [name, { data: Float32Array.from(data as Float32Array), dims: [...dims] }];
      }),
    );
  };

  const answer = async (job: Job, stop: Int32Array): Promise<void> => {
    try {
      if (job.kind === 'decode') {
        say({ kind: 'done', result: await decode(cached, job, () => Atomics.load(stop, 0) !== 0) });
        return;
      }
      const result = await run(job);
      say(
        { kind: 'done', result },
        Object.values(result).map(({ data }) => data.buffer),
      );
    } catch (error) {
      say({ kind: 'failed', message: messageOf(error) });
    }
  };

  port.on('message', (message: ToThread) => {
    if (message.kind === 'job') void answer(message.job, message.stop);
    // without a listener nothing keeps the thread
    else void session.release().finally(() => port.close());
  });
  say({ kind: 'ready', inputs: portsOf(session.inputMetadata), outputs: portsOf(session.outputMetadata) });
}

function portsOf(metadata: readonly InferenceSession.ValueMetadata[]): Port[] {
  return metadata.flatMap((one) => (one.isTensor ? [{ name: one.name, type: one.type, shape: one.shape }] : []));
}
