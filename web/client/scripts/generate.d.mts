/** The text of src/generated.ts. */
export function generate(): Promise<string>
