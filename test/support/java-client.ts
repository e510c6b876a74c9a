/** Runs JavaClient.java: Kafka's own client, for tests that hold ours to it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { hasJava, kafkaClassPath, works } from './artifacts.ts';

/** From source, which takes a JDK. */
export const hasJavaClient = async (): Promise<boolean> => (await hasJava()) && (await works('javac', '-version'));

/** The lines that it prints. */
export async function javaClient(args: (string | number)[], input = ''): Promise<string[]> {
  const classPath = await kafkaClassPath();
  const source = join(import.meta.dirname, 'JavaClient.java');
  const options = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-Dlog4j2.level=OFF', '-cp', classPath, source];
  const child = spawn('java', [...options, ...args.map(String)], { stdio: ['pipe', 'pipe', 'pipe'] });
  const [out, err]: [string[], string[]] = [[], []];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`JavaClient ${args.join(' ')} failed:\n${err.join('')}`);
  return out.join('').split('\n').slice(0, -1);
}
