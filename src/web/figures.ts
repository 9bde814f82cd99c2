/** Formats numbers and durations for display. */

const STEPS = ['', 'k', 'M', 'G', 'T'] as const;

/** Formats a number with three digits: 1234567 as `1.23 M`. */
export function short(value: number): string {
  let left = value;
  let step = 0;
  while (left >= 999.5 && step < STEPS.length - 1) {
    left /= 1000;
    step++;
  }
  if (step === 0) return String(Math.round(left));
  const digits = left >= 99.95 ? 0 : left >= 9.995 ? 1 : 2;
  return `${left.toFixed(digits)} ${STEPS[step]}`;
}

/** Formats seconds as `3 d 4 h`, `5 min 6 s` or `7 s`. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const units = [
    ['d', Math.floor(whole / 86_400)],
    ['h', Math.floor(whole / 3600) % 24],
    ['min', Math.floor(whole / 60) % 60],
    ['s', whole % 60],
  ] as const;
  const first = units.findIndex(([, count]) => count > 0);
  if (first < 0) return '0 s';
  const shown = units.slice(first, first + 2).filter(([, count]) => count > 0);
  return shown.map(([unit, count]) => `${count} ${unit}`).join(' ');
}

/** Formats a share, 0 to 1, as a percentage. */
export const percent = (share: number): string =>
  `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
