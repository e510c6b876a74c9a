import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** The rooms of the house and what each may import (ARCHITECTURE.md). A room may always import from itself. */
const rooms = {
  'src/stream': ['log'],
  'src/log': [],
  'src/shop': ['log'],
  'src/serendipity': ['stream', 'log', 'shop'],
  'src/report': ['serendipity'],
  'src/inference': [],
  'src/profile': ['stream', 'log', 'shop', 'inference'],
  'src/serengpt': ['stream', 'log', 'shop', 'inference', 'profile'],
  'src/nearline': ['stream', 'log', 'shop', 'inference', 'serendipity', 'serengpt'],
};
const allRooms = [
  'stream',
  'log',
  'shop',
  'serendipity',
  'profile',
  'serengpt',
  'nearline',
  'report',
  'alignment',
  'inference',
  'cli',
];

const noKafka = {
  regex: '^(kafkajs|@confluentinc/|@platformatic/kafka)',
  message: 'Kafka clients live in src/log only.',
};
const roomRules = Object.entries(rooms).map(([folder, allowed]) => {
  const own = folder.split('/')[1];
  const forbidden = allRooms.filter((room) => room !== own && !allowed.includes(room));
  return {
    files: [`${folder}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(src/)?(${forbidden.join('|')})/`,
              message: `${folder} may not import that room: see ARCHITECTURE.md.`,
            },
            { regex: 'topologies/', message: 'src never imports topologies; src/cli may.' },
            ...(own === 'log' ? [] : [noKafka]),
            // adapters are chosen at the edge: everything else sees the port
            ...(own === 'log' ? [] : [{ regex: 'log/(kafka|embedded)/', message: 'Import the port, not an adapter.' }]),
          ],
        },
      ],
    },
  };
});

export default tseslint.config(
  { ignores: ['node_modules', 'dist', 'coverage', 'patches', 'data', 'models', 'training/.venv', 'training/work'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    languageOptions: { globals: { process: 'readonly', Buffer: 'readonly', console: 'readonly' } },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-explicit-any': 'off',
    },
  },
  ...roomRules,
  {
    files: ['topologies/**/*.ts', 'src/cli/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: [noKafka] }] },
  },
  { files: ['test/**/*.ts', 'bench/**/*.ts', 'src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
);
