export type Severity = 'ok' | 'note' | 'warning' | 'error';

export interface Finding {
  severity: Severity;
  /** stable, for scripts */
  code: string;
  /** the part of the page that it stands in */
  area: string;
  what: string;
  /** null where there is nothing to do */
  todo: string | null;
}

/** Findings of one area. */
export class Area {
  readonly findings: Finding[] = [];
  private readonly area: string;

  constructor(area: string) {
    this.area = area;
  }

  ok(code: string, what: string): void {
    this.add('ok', code, what, null);
  }

  note(code: string, what: string, todo: string | null = null): void {
    this.add('note', code, what, todo);
  }

  warning(code: string, what: string, todo: string): void {
    this.add('warning', code, what, todo);
  }

  error(code: string, what: string, todo: string): void {
    this.add('error', code, what, todo);
  }

  private add(severity: Severity, code: string, what: string, todo: string | null): void {
    this.findings.push({ severity, code, area: this.area, what, todo });
  }
}
