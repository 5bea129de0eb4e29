//! The dispatchers of SQL, made from the list of methods: `rpc.dispatch_write` and `rpc.dispatch_read`.

use std::fmt::Write as _;

use super::method::{Entry, Operation as _};
use super::pipeline::HAS_ANSWER;
use super::spec::Spec;
use super::transaction::Transaction;
use crate::turn::Access;

/// Both dispatchers, for these methods and for those of this room.
pub(crate) fn dispatch_sql(methods: &[Entry]) -> String {
    let specs = methods.iter().map(|entry| entry.spec).chain([Transaction::SPEC, HAS_ANSWER]);
    let (writes, reads): (Vec<Spec>, Vec<Spec>) = specs.partition(|spec| spec.access == Access::Write);
    let runs: Vec<Spec> = writes.iter().copied().filter(|spec| spec.has_run).collect();
    let write = "-- One write of one payer, under the payer's lock.";
    let read = "-- One read of one payer, without a lock.\n--   p_vector  the query vector of a search";
    dispatcher(write, "rpc.dispatch_write(p_payer text, p_method text, p_params jsonb)", &writes)
        + &dispatcher(
            read,
            "rpc.dispatch_read(p_payer text, p_method text, p_params jsonb, p_vector public.vector)",
            &reads,
        )
        + &run_dispatcher(&runs)
}

/// The dispatcher of runs: several calls of one payer and method that are executed as a set.
fn run_dispatcher(specs: &[Spec]) -> String {
    let names: Vec<String> = specs.iter().map(|spec| format!("'{}'", spec.name)).collect();
    let mut sql = format!(
        "-- Whether a method has a form for runs.\ncreate function rpc.has_run(p_method text) returns boolean\n\
         language sql immutable\nas $$\n  select p_method in ({})\n$$;\n\n\
         -- Several writes of one payer and method, as a set. Returns one result per call.\n\
         create function rpc.dispatch_run(p_payer text, p_method text, p_params jsonb) returns json[]\n\
         language plpgsql\nas $$\nbegin\n  case p_method\n",
        names.join(", ")
    );
    for spec in specs {
        let function = snake_case(spec.name);
        let _infallible = writeln!(sql, "    when '{}' then return rpc.{function}_run(p_payer, p_params);", spec.name);
    }
    sql + "    else raise exception 'no run of method %', p_method;\n  end case;\nend $$;\n\n"
}

fn dispatcher(comment: &str, signature: &str, specs: &[Spec]) -> String {
    let mut sql = format!(
        "{comment}\n-- The result is {{\"ok\": ..}}, {{\"unchanged\": ..}} if a write changed nothing, or\n\
         -- {{\"problem\": {{\"code\": .., ..}}}}.\n\
         create function {signature} returns json\nlanguage plpgsql\nas $$\nbegin\n  case p_method\n"
    );
    for spec in specs {
        let function = snake_case(spec.name);
        let vector = if spec.binds_vector { ", p_vector" } else { "" };
        let arm = format!("    when '{}' then return rpc.{function}(p_payer, p_params{vector});", spec.name);
        let _infallible = writeln!(sql, "{arm}");
    }
    sql + "    else raise exception 'no method %', p_method;\n  end case;\nend $$;\n\n"
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
