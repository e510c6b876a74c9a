/** A listener with TLS and a password, for a test that both are handed through. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** What a client of a secured broker needs, as kafkajs takes it. */
export interface ClientSecurity {
  ssl: { ca: string[] };
  sasl: { mechanism: 'plain'; username: string; password: string };
}

const alias = 'broker';
const username = 'seral';
const password = 'not-a-secret';

/** Makes a key with a certificate of its own in `folder`; `CLIENTS` is the listener's name. */
export async function secured(folder: string): Promise<{ config: Record<string, string>; client: ClientSecurity }> {
  const keystore = join(folder, 'broker.p12');
  const store = ['-keystore', keystore, '-storetype', 'PKCS12', '-storepass', password];
  const name = ['-dname', 'CN=localhost', '-ext', 'san=ip:127.0.0.1,dns:localhost', '-validity', '2'];
  await exec('keytool', ['-genkeypair', '-alias', alias, '-keyalg', 'RSA', ...name, ...store]);
  const { stdout: certificate } = await exec('keytool', ['-exportcert', '-rfc', '-alias', alias, ...store]);
  const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  return {
    config: {
      'sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.clients.plain.sasl.jaas.config': `${login} user_${username}="${password}";`,
      'ssl.keystore.location': keystore,
      'ssl.keystore.type': 'PKCS12',
      'ssl.keystore.password': password,
    },
    client: { ssl: { ca: [certificate] }, sasl: { mechanism: 'plain', username, password } },
  };
}
