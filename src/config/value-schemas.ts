/** The JSON Schema of values that several parts of lvs.yaml have. */

export const address = { type: 'string', minLength: 2, description: 'An IPv4 or IPv6 address.' } as const;
export const seconds = { type: 'integer', minimum: 0, maximum: 2_678_400 } as const;
