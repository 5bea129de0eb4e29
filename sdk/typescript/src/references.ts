declare const type: unique symbol;

/**
 * Stands for a value of a transaction that is not known yet: the result of a call, or a member of it.
 * Use it in later calls of the same transaction, or return it from the function to get the value.
 */
export type Ref<T> = { readonly [type]: T } & Members<NonNullable<T>>;

/** Without `objects` of a result of SQL: the client makes it, and the server does not know it. */
type Members<T> = T extends readonly (infer Item)[]
  ? { readonly [index: number]: Ref<Item> }
  : T extends object
    ? { readonly [K in Exclude<keyof T, 'objects'>]-?: Ref<T[K]> }
    : unknown;

/** A value, or a reference to one. */
export type OrRef<T> = T | Ref<T>;

/** What `transact` returns for the result of its function: the values of the references in it. */
export type Resolved<T> =
  T extends Ref<infer Value>
    ? Value
    : T extends readonly unknown[] | Record<string, unknown>
      ? { [K in keyof T]: Resolved<T[K]> }
      : T;

/** Each reference: its transaction, and its path, which is the index of its call, then the members. */
const references = new WeakMap<object, { owner: object; path: readonly string[] }>();

const misplaced = (): never => {
  throw new TypeError(
    'a reference of a transaction is used where it cannot be: it is for later calls of its transaction',
  );
};

/** Makes a reference of the transaction `owner`; each of its members is a reference, too. */
export function makeReference(owner: object, path: readonly string[]): object {
  const reference = new Proxy(
    {},
    {
      get(_, name) {
        // A reference is no promise, also where it is awaited or returned from an `async` function.
        if (typeof name === 'symbol' || name === 'then') return undefined;
        // Written as JSON, it would be an empty object.
        if (name === 'toJSON') return misplaced();
        if (name.includes('.')) throw new TypeError(`a reference cannot name the member "${name}": it has a dot`);
        return makeReference(owner, [...path, name]);
      },
      ownKeys: misplaced,
    },
  );
  references.set(reference, { owner, path });
  return reference;
}

/** Whether a value is a reference. */
export function isReference(value: unknown): boolean {
  return typeof value === 'object' && value !== null && references.has(value);
}

/**
 * Writes parameters for the server: references as `$ref`, and objects of the caller that look like one as `$literal`.
 * A reference of another transaction than `owner` is refused.
 */
export function encodeReferences(value: unknown, owner: object): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const reference = references.get(value);
  if (reference) return reference.owner === owner ? { $ref: reference.path.join('.') } : misplaced();
  if ('toJSON' in value && typeof value.toJSON === 'function') return encodeReferences(value.toJSON(), owner);
  if (Array.isArray(value)) return value.map(item => encodeReferences(item, owner));
  const sent = Object.entries(value).filter(([, member]) => isSent(member));
  const [first, ...others] = sent.map(([name]) => name);
  if (others.length === 0 && (first === '$ref' || first === '$literal')) return { $literal: value };
  return Object.fromEntries(sent.map(([name, member]) => [name, encodeReferences(member, owner)]));
}

/** Whether JSON has a member with this value. */
function isSent(value: unknown): boolean {
  if (typeof value === 'object' && value !== null && !isReference(value) && 'toJSON' in value) {
    return typeof value.toJSON !== 'function' || isSent(value.toJSON());
  }
  return !['undefined', 'function', 'symbol'].includes(typeof value);
}

/** Replaces the references of a transaction in a value by what they stand for. */
export function resolve(value: unknown, owner: object, results: readonly unknown[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const reference = references.get(value);
  if (reference && reference.owner !== owner) return value;
  if (reference) {
    return reference.path.reduce<unknown>((part, name) => (part as Record<string, unknown> | null)?.[name], results);
  }
  if (Array.isArray(value)) return value.map(item => resolve(item, owner, results));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, resolve(member, owner, results)]));
}
