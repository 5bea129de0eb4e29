//! Random choices, and the kinds of statements.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::schema::Schema;

/// A statement, and what the run must know of it.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    /// Whether it only reads.
    pub reads: bool,
    /// Whether it may change the schema.
    pub changes_schema: bool,
}

impl Statement {
    pub fn read(sql: String) -> Self {
        Self { sql, reads: true, changes_schema: false }
    }

    pub fn write(sql: String) -> Self {
        Self { sql, reads: false, changes_schema: false }
    }

    pub fn of_schema(sql: String) -> Self {
        Self { sql, reads: false, changes_schema: true }
    }
}

/// Makes statements for the tables that are there.
pub struct Generator {
    random: StdRng,
    pub schema: Schema,
    /// Number of names that it has given.
    names: u32,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), schema: Schema::default(), names: 0 }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the texts.
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    pub fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// A name that was not given before.
    pub fn new_name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub fn statement(&mut self) -> Statement {
        if self.schema.tables.len() < 3 {
            return self.create_table();
        }
        match self.below(100) {
            0..38 => Statement::read(self.query()),
            38..58 => Statement::write(self.insert()),
            58..66 => Statement::write(self.upsert()),
            66..80 => Statement::write(self.update()),
            80..87 => Statement::write(self.delete()),
            87..89 => self.create_table(),
            89..92 => self.create_index(),
            92..94 => self.create_view(),
            94..98 => self.alter(),
            98 => self.drop_something(),
            _ => Statement::write(self.insert()),
        }
    }
}
