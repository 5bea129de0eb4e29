/** Members of counters, locks and problems that are 64-bit integers. */
const MEMBERS = ['value', 'min', 'max', 'previousValue', 'applied', 'fence'] as const;

/** Names of the members that are `bigint` in results. */
export type Integer64 = (typeof MEMBERS)[number];

/** A result whose 64-bit members are `bigint`. */
export type Exact<T> = { [K in keyof T]: K extends Integer64 ? bigint | Extract<T[K], null> : T[K] };

/** Converts the 64-bit members of a counter, a lock or a problem to `bigint`. The server sends them as texts. */
export function exactMembers<T extends object>(value: T): T {
  const exact = { ...value } as Record<string, unknown>;
  for (const name of MEMBERS) {
    const member = exact[name];
    if (typeof member === 'number' || (typeof member === 'string' && /^-?\d+$/.test(member)))
      exact[name] = BigInt(member);
  }
  return exact as T;
}

// Random, so that no text of a caller can be taken for a number. Made late: some hosts give no random numbers to a
// module that is still being loaded.
let mark = '';

/** JSON in which each `bigint` is a number with all its digits. JSON has no NaN and no infinity. */
export function toJson(value: unknown): string {
  let found = false;
  const text = JSON.stringify(value, (_, member: unknown) => {
    if (typeof member === 'number' && !Number.isFinite(member)) throw new RangeError(`${member} cannot be sent as JSON`);
    if (typeof member !== 'bigint') return member;
    found = true;
    mark ||= `${crypto.getRandomValues(new Uint32Array(4)).join('-')}:`;
    return mark + member;
  });
  return found ? text.replace(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1') : text;
}

const INTEGER_64_MAX = 2n ** 63n - 1n;

/** Checks a number of a caller. One beyond 2^53 - 1 is refused, because it may have lost digits. */
export function checkSafe(name: string, value: unknown): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new RangeError(`${name} must be an integer; beyond 2^53 - 1, pass a bigint. It is ${value}.`);
  }
}

/** Checks an integer of a caller, which must have all its digits and fit into 64 bits. */
export function checkInteger64(name: string, value: unknown): void {
  checkSafe(name, value);
  if (typeof value === 'bigint' && (value > INTEGER_64_MAX || value < -INTEGER_64_MAX - 1n)) {
    throw new RangeError(`${name} must fit into a signed 64-bit integer. It is ${value}.`);
  }
}
