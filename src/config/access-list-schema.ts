/** The part of the schema of lvs.yaml that concerns deny and allow lists. */

const entries = {
  type: 'array',
  items: {
    oneOf: [
      { type: 'string', minLength: 2, description: 'An address, or a prefix such as 198.51.100.0/24.' },
      {
        type: 'object',
        additionalProperties: false,
        properties: {
          file: {
            type: 'string',
            pattern: '^/[^\\0]+$',
            description: 'An absolute path of a file with an address or a prefix in each line.',
          },
        },
        required: ['file'],
      },
    ],
  },
} as const;

export const accessLists = {
  deny: { ...entries, description: 'Clients that may not connect.' },
  allow: { ...entries, description: 'Clients that may connect although a deny list has them.' },
} as const;
