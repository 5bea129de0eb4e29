// What must and must not compile. `tsc` fails if one of these errors does not occur.
import type { PrivateKeyAccount } from 'viem';
import { Payerbase, type PayerbaseError } from '../src/index.js';

export async function mustCompile(
  pb: Payerbase,
  error: PayerbaseError,
  maybe: number | undefined,
  wallet: PrivateKeyAccount,
) {
  new Payerbase({ url: 'https://pay.example', wallet });
  if (error.code === 'counter-out-of-bounds') (error.problem.value satisfies bigint | null | undefined)?.toString();
  const counter = await pb.counters.increment('a', { amount: maybe, min: 2n ** 60n, max: null });
  counter.value satisfies bigint;
  const job = await pb.queues.pop<{ to: string }>('mail');
  job?.payload.to satisfies string | undefined;
  const values = await pb.transact(t => {
    const r = t.counters.increment('a', { amount: 1n });
    const job = t.queues.pop<{ to: string }>('mail');
    t.counters.increment(r.name, { amount: r.applied });
    return { all: r, value: r.value, to: job.payload.to, list: [r.capped] as const };
  });
  values satisfies { all: { capped: boolean }; value: bigint; to: string; list: readonly [boolean] };
  (await pb.sql.query<{ id: number }>('select 1 as id')).objects[0]?.id satisfies number | undefined;
}

export async function mustNotCompile(pb: Payerbase, error: PayerbaseError): Promise<void> {
  // @ts-expect-error: no such code.
  if (error.code === 'counter-out-of-bound') return;
  // @ts-expect-error: no such member.
  await pb.counters.increment('a', { amont: 1 });
  // @ts-expect-error: no such value.
  await pb.counters.increment('a', { onBound: 'refuse' });
  // @ts-expect-error: the lease time is missing.
  await pb.locks.acquire('a', {});
  // @ts-expect-error: a read takes no key.
  await pb.counters.get('a', { idempotencyKey: '12345678' });
  // @ts-expect-error: the answer is the only copy of the token.
  await pb.tokens.create({ idempotencyKey: '12345678' });
  // @ts-expect-error: a fence is no text.
  await pb.counters.increment('a', { guard: { name: 'a', fence: '1' } });
  // @ts-expect-error: a 64-bit integer is no number.
  const value: number = (await pb.counters.get('a')).value;
  await pb.transact(t => {
    const r = t.counters.increment('a');
    // @ts-expect-error: a result has no such member.
    r.valeu;
    // @ts-expect-error: the name of a queue is no reference.
    t.queues.push(r.name, {});
    // @ts-expect-error: a call of a transaction cannot wait.
    t.locks.acquire('a', { ttlMs: 1_000, waitMs: 5 });
    // @ts-expect-error: the server does not know this member.
    t.sql.query('select 1').objects;
    // @ts-expect-error: lists are not for transactions.
    t.counters.list();
    return value;
  });
}
