-- Checks of the ledger over all payers, for the operator. Installed as payerbase_sweeper, which reads amounts, but no
-- reference.

-- What has gone into each account and out of it. Over all accounts of an asset, both sums are equal.
create function sweep.ledger_accounts() returns table (asset text, account text, amount numeric)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select asset, account, sum(amount)
    from (
      select asset, to_account as account, amount::bigint as amount
        from tenant.ledger
      union all
      select asset, from_account, -amount::bigint
        from tenant.ledger
    ) as moved
    group by asset, account
    order by asset, account
$$;

-- The payers whose ledger does not say what their credit says, and entries between wrong accounts.
create function sweep.ledger_faults() returns table (payer text, asset text, posted numeric, in_ledger numeric)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(c.payer, l.payer), coalesce(c.asset, l.asset), c.posted, l.amount
    from tenant.credit as c
    full join (
      select payer, asset, sum(case to_account when 'payer' then amount else -amount::bigint end) as amount
        from tenant.ledger
        group by payer, asset
    ) as l on l.payer = c.payer and l.asset = c.asset
    where c.posted::bigint is distinct from l.amount or c.balance > c.posted
  union all
  select payer, asset, null, amount
    from tenant.ledger
    where (from_account, to_account) not in (('network', 'payer'), ('operator', 'payer'), ('payer', 'income'))
$$;

-- Payments, newest first: all of a payer; without one, those of all payers that are not final.
create function sweep.list_payments(p_payer text, p_limit integer)
returns table (payer text, id text, state text, asset text, amount bigint, received_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, id::text, state::text, asset, amount::bigint, received_at
    from tenant.payments
    where payer = p_payer or (p_payer is null and due_at is not null)
    order by received_at desc
    limit p_limit
$$;
