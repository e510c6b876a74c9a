import { styleText } from 'node:util';
import { plain } from '../words.ts';
import type { Finding, Severity } from './findings.ts';

const SIGNS: Record<Severity, { sign: string; word: string; style: Parameters<typeof styleText>[0] }> = {
  ok: { sign: '✓', word: 'ok     ', style: 'green' },
  note: { sign: '·', word: 'note   ', style: 'dim' },
  warning: { sign: '!', word: 'warning', style: 'yellow' },
  error: { sign: '✗', word: 'ERROR  ', style: 'red' },
};

export interface PageOptions {
  /** signs and colours; elsewhere words, which a search finds */
  terminal: boolean;
  /** columns to break lines at; null breaks none */
  width: number | null;
}

/** One page: an area after the other, then what it comes to. */
export function page(findings: readonly Finding[], { terminal, width }: PageOptions): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    terminal ? styleText(style, text, { validateStream: false }) : text;
  const lines: string[] = [];
  let area: string | null = null;
  for (const finding of findings) {
    if (finding.area !== area) {
      if (area !== null) lines.push('');
      area = finding.area;
      lines.push(paint('bold', area));
    }
    const { sign, word, style } = SIGNS[finding.severity];
    const lead = terminal ? sign : word;
    const indent = ' '.repeat(lead.length + 3);
    const [first, ...more] = wrapped(plain(finding.what), width === null ? null : width - indent.length);
    lines.push(`  ${paint(style, lead)} ${first}`, ...more.map((line) => indent + line));
    if (finding.todo === null) continue;
    const [todo, ...rest] = wrapped(plain(finding.todo), width === null ? null : width - indent.length - 3);
    lines.push(`${indent}${paint('dim', '->')} ${todo}`, ...rest.map((line) => `${indent}   ${line}`));
  }
  const count = (severity: Severity) => findings.filter((one) => one.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const summary = `${several(errors, 'error')}, ${several(warnings, 'warning')}`;
  lines.push(
    '',
    errors > 0 ? paint('red', summary) : errors + warnings === 0 ? paint('green', 'all is well') : summary,
  );
  return `${lines.join('\n')}\n`;
}

const several = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

function wrapped(text: string, width: number | null): string[] {
  if (width === null || width < 20) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
