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

/** The path of each reference: the index of its call, then the members. */
const paths = new WeakMap<object, readonly string[]>();

/** Makes a reference; each of its members is a reference, too. */
export function makeReference(path: readonly string[]): object {
  const reference = new Proxy(
    {},
    {
      get(_, name) {
        // A reference is no promise, also where it is awaited or returned from an `async` function.
        if (typeof name === 'symbol' || name === 'then') return undefined;
        if (name.includes('.')) throw new TypeError(`a reference cannot name the member "${name}": it has a dot`);
        return makeReference([...path, name]);
      },
    },
  );
  paths.set(reference, path);
  return reference;
}

/** Whether a value is a reference. */
export function isReference(value: unknown): boolean {
  return typeof value === 'object' && value !== null && paths.has(value);
}

/**
 * Writes parameters for the server: references as `$ref`, and objects of the caller that look like one as `$literal`.
 */
export function encodeReferences(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const path = paths.get(value);
  if (path) return { $ref: path.join('.') };
  if ('toJSON' in value && typeof value.toJSON === 'function') return encodeReferences(value.toJSON());
  if (Array.isArray(value)) return value.map(encodeReferences);
  const [first, ...others] = Object.keys(value);
  if (others.length === 0 && (first === '$ref' || first === '$literal')) return { $literal: value };
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, encodeReferences(member)]));
}

/** Replaces the references in a value by what they stand for. */
export function resolve(value: unknown, results: readonly unknown[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const path = paths.get(value);
  if (path) return path.reduce<unknown>((part, name) => (part as Record<string, unknown> | null)?.[name], results);
  if (Array.isArray(value)) return value.map(item => resolve(item, results));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, resolve(member, results)]));
}
