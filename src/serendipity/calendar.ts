const DAY = 86_400_000;
const MINUTE = 60_000;

/**
 * Calendar days of a time zone, as numbers: days since 1970-01-01 on the zone's own calendar.
 * Asking Intl costs microseconds, so the zone's offset is remembered: once for a UTC day where it does not change within
 * it, else once a minute (clocks have been changed at 00:01).
 */
export class Calendar {
  readonly timeZone: string;
  readonly #format: Intl.DateTimeFormat | null;
  readonly #byDay = new Map<number, number | null>();
  readonly #byMinute = new Map<number, number>();
  readonly #backByDay = new Map<number, boolean>();
  #memoDay = NaN;
  #memoOffset = 0;

  /** Throws RangeError for a name that is not an IANA time zone. */
  constructor(timeZone: string) {
    this.timeZone = timeZone;
    this.#format =
      timeZone === 'UTC'
        ? null
        : new Intl.DateTimeFormat('en-US', {
            timeZone,
            calendar: 'gregory',
            hourCycle: 'h23',
            era: 'short',
            year: 'numeric',
            month: 'numeric',
            day: 'numeric',
            hour: 'numeric',
            minute: 'numeric',
            second: 'numeric',
          });
  }

  /** The day number of a time in milliseconds since the epoch. */
  dayOf(time: number): number {
    if (this.#format === null) return Math.floor(time / DAY);
    const utcDay = Math.floor(time / DAY);
    if (utcDay !== this.#memoDay) {
      let offset = this.#byDay.get(utcDay);
      if (offset === undefined) {
        const first = this.#offsetAt(utcDay * DAY);
        offset = first === this.#offsetAt((utcDay + 1) * DAY) ? first : null;
        this.#byDay.set(utcDay, offset);
      }
      if (offset === null) return Math.floor((time + this.#minuteOffset(time)) / DAY);
      this.#memoDay = utcDay;
      this.#memoOffset = offset;
    }
    return Math.floor((time + this.#memoOffset) / DAY);
  }

  /**
   * The earliest day that `time` or any later moment lies on. It is the day of `time`, but where clocks go back over
   * midnight (St. John's did, at 00:01): there a minute of Sunday is followed by Saturday again.
   */
  lowestFrom(time: number): number {
    const day = this.dayOf(time);
    if (!this.goesBack(time)) return day;
    let lowest = day;
    for (let after = 1; after <= 18; after++) lowest = Math.min(lowest, this.dayOf(time + after * 10 * MINUTE));
    return lowest;
  }

  /** Whether clocks go back on this UTC day or on one beside it: only there may a day come again after the next began. */
  goesBack(time: number): boolean {
    if (this.#format === null) return false;
    const utcDay = Math.floor(time / DAY);
    let back = this.#backByDay.get(utcDay);
    if (back === undefined) {
      const offsets = [-1, 0, 1, 2].map((beside) => this.#offsetAt((utcDay + beside) * DAY));
      back = offsets.some((offset, i) => i > 0 && offset < offsets[i - 1]);
      this.#backByDay.set(utcDay, back);
    }
    return back;
  }

  #minuteOffset(time: number): number {
    const minute = Math.floor(time / MINUTE);
    let offset = this.#byMinute.get(minute);
    if (offset === undefined) this.#byMinute.set(minute, (offset = this.#offsetAt(minute * MINUTE)));
    return offset;
  }

  #offsetAt(time: number): number {
    const part: Record<string, string> = {};
    for (const { type, value } of this.#format!.formatToParts(time)) part[type] = value;
    const year = part['era'] === 'BC' ? 1 - Number(part['year']) : Number(part['year']);
    const local = Date.UTC(
      year,
      Number(part['month']) - 1,
      Number(part['day']),
      Number(part['hour']),
      Number(part['minute']),
      Number(part['second']),
    );
    return local - Math.floor(time / 1000) * 1000;
  }
}

const names = new Map<number, string>();

/** YYYY-MM-DD of a day number. */
export function dayName(day: number): string {
  let name = names.get(day);
  if (name === undefined) {
    if (names.size > 10_000) names.clear();
    names.set(day, (name = new Date(day * DAY).toISOString().split('T')[0]));
  }
  return name;
}
