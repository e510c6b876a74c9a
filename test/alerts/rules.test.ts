/** The alerts are held to the metrics of the code, and their page to the alerts. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { knownMetrics } from '../support/known-metrics.ts';

interface Rule {
  alert: string;
  expr: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

const root = join(import.meta.dirname, '../..');
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');
const files = globSync('alerts/*.yaml', { cwd: root }).sort();
const isTest = (file: string) => file.endsWith('.test.yaml');
const rules = files
  .filter((file) => !isTest(file))
  .flatMap((file) => (parse(textOf(file)) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules));
const page = textOf('docs/alerts.md');
const metrics = textOf('docs/metrics.md');
/** What the pages say that are not about alerts: whose codes and outcomes they name. */
const pages = globSync('docs/*.md', { cwd: root })
  .filter((file) => !file.endsWith('alerts.md'))
  .map(textOf)
  .join('\n');
const known = new Set(knownMetrics());
const rowOf = (name: string) => new RegExp(`^\\| \`${name}\` \\|.*$`, 'm').exec(metrics)?.[0] ?? '';
/** Whose topologies and workers the channel is. */
const PARTS = ['regeneration', 'candidates', 'serengpt-worker', 'retrieval-worker'];

/** Name and matchers of each selector; of a histogram the name without its part. */
function selectors({ expr }: Rule): { name: string; matchers: { label: string; values: string[] }[] }[] {
  return [...expr.matchAll(/\b(seral_\w+)(?:\{([^}]*)\})?/g)].map(([, name, inside]) => ({
    name: known.has(name!) ? name! : name!.replace(/_(bucket|sum|count)$/, ''),
    matchers: [...(inside ?? '').matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)].map(([, label, values]) => ({
      label: label!,
      values: values!.split('|'),
    })),
  }));
}

test('there are alerts, each under a name of its own', () => {
  expect(rules.length).toBeGreaterThan(10);
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
});

describe.each(rules.map((rule) => [rule.alert, rule] as const))('%s', (name, rule) => {
  it('asks for metrics that are there, by labels and values that they are described with', () => {
    const asked = selectors(rule);
    expect(asked.length).toBeGreaterThan(0);
    for (const { name, matchers } of asked) {
      expect(known, name).toContain(name);
      for (const { label, values } of matchers) {
        if (label === 'topology' || label === 'worker') {
          expect(PARTS).toEqual(expect.arrayContaining(values));
          continue;
        }
        expect(rowOf(name), `${name} by ${label}`).toContain(`\`${label}\``);
        for (const value of values.filter((value) => /^\w+$/.test(value))) expect(pages, value).toContain(value);
      }
    }
  });

  it('says how bad it is, what it is, who notices what, and what is to be done', () => {
    expect(['warning', 'critical']).toContain(rule.labels['severity']);
    const { summary, impact, action, runbook, ...others } = rule.annotations;
    expect(others).toEqual({});
    for (const text of [summary, impact, action]) expect(text?.trim()).toBeTruthy();
    expect(runbook).toBe(`docs/alerts.md#${name.toLowerCase()}`);
  });

  it('has a line and a section of the page, and a test in which it fires', () => {
    expect(page).toMatch(
      new RegExp(`^\\| \\[${name}\\]\\(#${name.toLowerCase()}\\) \\| ${rule.labels['severity']} \\|`, 'm'),
    );
    expect(page).toMatch(new RegExp(`^### ${name}$`, 'm'));
    const tests = files.filter(isTest).flatMap((file) => (parse(textOf(file)) as { tests: any[] }).tests);
    const checks = tests.flatMap(({ promql_expr_test }) => promql_expr_test as any[]);
    const of = checks.filter(({ expr }) => expr.includes(`alertname="${name}",alertstate="firing"`));
    expect(of.some(({ exp_samples }) => exp_samples.length > 0)).toBe(true);
    expect(of.some(({ exp_samples }) => exp_samples.length === 0)).toBe(true);
  });
});

test('the page has no section of an alert that is not there', () => {
  const sections = [...page.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
  expect(sections).toEqual(rules.map(({ alert }) => alert));
});

test("compose.yaml's Prometheus is given the rules", () => {
  expect(parse(textOf('docker/prometheus.yml')).rule_files).toEqual([
    '/etc/prometheus/alerts/serendipity-channel.yaml',
  ]);
  expect(parse(textOf('compose.yaml')).services.prometheus.volumes).toContain('./alerts:/etc/prometheus/alerts:ro');
});
