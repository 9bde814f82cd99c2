/** The greatest common divisor, by which weights are reduced. */

/** Returns the greatest common divisor of two integers; gcd(a, 0) is a. */
export const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
