//! The dispatchers of SQL, made from the list of methods: `rpc.dispatch_write` and `rpc.dispatch_read`.

use std::fmt::Write as _;

use super::method::{Entry, Operation as _};
use super::pipeline::HAS_ANSWER;
use super::rights::USE_RIGHTS;
use super::spec::Spec;
use super::transaction::Transaction;
use crate::payments;
use crate::turn::Access;

const WRITE: &str = "\
-- One write of one payer, under the payer's lock.
-- The result is {\"ok\": ..}, {\"empty\": ..} for a pop without a job, or {\"problem\": {\"code\": .., ..}}.
create function rpc.dispatch_write(p_payer text, p_method text, p_params jsonb) returns json";

const READ: &str = "\
-- One read of one payer, without a lock. The result is as that of a write.
--   p_vector  the query vector of a search
create function rpc.dispatch_read(p_payer text, p_method text, p_params jsonb, p_vector public.vector) returns json";

const RUN: &str = "\
-- A run: several writes of one payer and method, as a set. Returns one result per call; NULL for a call that is not
-- part of the set and must be executed alone.
create function rpc.dispatch_run(p_payer text, p_method text, p_params jsonb) returns json[]";

/// The dispatchers, for these methods and for those of this room.
pub(crate) fn dispatch_sql(methods: &[Entry]) -> String {
    let of_payments = payments::METHODS.map(Spec::write);
    let specs =
        methods.iter().map(|entry| entry.spec).chain([Transaction::SPEC, HAS_ANSWER, USE_RIGHTS]).chain(of_payments);
    let (writes, reads): (Vec<Spec>, Vec<Spec>) = specs.partition(|spec| spec.access == Access::Write);
    let runs: Vec<Spec> = writes.iter().copied().filter(|spec| spec.has_run).collect();
    let vector = |spec: &Spec| if spec.binds_vector { ", p_vector" } else { "" };
    [
        dispatcher(WRITE, &writes, |spec| format!("rpc.{}(p_payer, p_params)", snake_case(spec.name))),
        dispatcher(READ, &reads, |spec| format!("rpc.{}(p_payer, p_params{})", snake_case(spec.name), vector(spec))),
        dispatcher(RUN, &runs, |spec| format!("rpc.{}_run(p_payer, p_params)", snake_case(spec.name))),
        has_run(&runs),
    ]
    .concat()
}

fn dispatcher(head: &str, specs: &[Spec], function: impl Fn(&Spec) -> String) -> String {
    let mut sql = format!("{head}\nlanguage plpgsql\nas $$\nbegin\n  case p_method\n");
    for spec in specs {
        let _infallible = writeln!(sql, "    when '{}' then return {};", spec.name, function(spec));
    }
    sql + "    else raise exception 'no method %', p_method;\n  end case;\nend $$;\n\n"
}

fn has_run(runs: &[Spec]) -> String {
    let names: Vec<String> = runs.iter().map(|spec| format!("'{}'", spec.name)).collect();
    format!(
        "-- Whether a method has a form for runs.\ncreate function rpc.has_run(p_method text) returns boolean\n\
         language sql immutable\nas $$\n  select p_method in ({})\n$$;\n\n",
        names.join(", ")
    )
}

/// The SQL name of a method: `pushJobs` is `push_jobs`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
