//! What a statement may do. SQLite asks for each action while it compiles a statement; what no rule allows is denied.

/// The actions of SQLite's authorizer (`sqlite3_set_authorizer`), with its numbers.
pub(crate) mod action {
    pub const CREATE_INDEX: i32 = 1;
    pub const CREATE_TABLE: i32 = 2;
    pub const CREATE_TEMP_INDEX: i32 = 3;
    pub const CREATE_TEMP_TABLE: i32 = 4;
    pub const CREATE_TEMP_TRIGGER: i32 = 5;
    pub const CREATE_TEMP_VIEW: i32 = 6;
    pub const CREATE_TRIGGER: i32 = 7;
    pub const CREATE_VIEW: i32 = 8;
    pub const DELETE: i32 = 9;
    pub const DROP_INDEX: i32 = 10;
    pub const DROP_TABLE: i32 = 11;
    pub const DROP_VIEW: i32 = 17;
    pub const INSERT: i32 = 18;
    pub const PRAGMA: i32 = 19;
    pub const READ: i32 = 20;
    pub const SELECT: i32 = 21;
    pub const TRANSACTION: i32 = 22;
    pub const UPDATE: i32 = 23;
    pub const ATTACH: i32 = 24;
    pub const DETACH: i32 = 25;
    pub const ALTER_TABLE: i32 = 26;
    pub const REINDEX: i32 = 27;
    pub const ANALYZE: i32 = 28;
    pub const CREATE_VTABLE: i32 = 29;
    pub const FUNCTION: i32 = 31;
    pub const SAVEPOINT: i32 = 32;
    pub const RECURSIVE: i32 = 33;
}

/// An action, and what SQLite tells of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action<'a> {
    pub action: i32,
    pub first: Option<&'a str>,
    pub second: Option<&'a str>,
    pub third: Option<&'a str>,
}

/// Which uses of an action are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allowed {
    Always,
    /// In the payer's own database: its name is the third argument.
    InMain,
    /// In the payer's own database, on a table that is not payerbase's.
    WriteInMain,
    /// In the payer's own database: neither the index nor its table, the second argument, is payerbase's.
    IndexInMain,
    /// In the payer's own database, likewise: its name is the first argument, and the table the second.
    AlterInMain,
    /// A table of SQLite's temporary database, which `ALTER TABLE` reads and updates.
    TemporarySchema,
    /// The function has one of these names.
    Function,
    /// The PRAGMA has one of these names, and an argument.
    Pragma,
}

/// The names of payerbase's own tables begin so.
pub(crate) const RESERVED_PREFIX: &str = "pb_";

/// The table of the migrations that have run, in the payer's database.
pub(crate) const MIGRATIONS_TABLE: &str =
    "CREATE TABLE pb_migrations (id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT";

/// Why a table of payerbase cannot be changed.
pub(crate) const OWN_TABLES: &str =
    "The tables whose names begin with `pb_` are payerbase's own: they can only be read.";

/// Why there is no other database.
pub(crate) const ONE_DATABASE: &str =
    "A payer has one database: ATTACH, DETACH and VACUUM are not allowed. Deleted rows leave space for others.";

/// The PRAGMA that is for the transaction of a write.
const OF_WRITES: &str = "defer_foreign_keys";

/// The rules. An action is allowed if one of them allows it.
pub(crate) const RULES: &[(i32, Allowed)] = &[
    (action::SELECT, Allowed::Always),
    (action::RECURSIVE, Allowed::Always),
    (action::READ, Allowed::InMain),
    (action::READ, Allowed::TemporarySchema),
    (action::INSERT, Allowed::WriteInMain),
    (action::UPDATE, Allowed::WriteInMain),
    (action::UPDATE, Allowed::TemporarySchema),
    (action::DELETE, Allowed::WriteInMain),
    (action::CREATE_TABLE, Allowed::WriteInMain),
    (action::CREATE_INDEX, Allowed::IndexInMain),
    (action::CREATE_VIEW, Allowed::WriteInMain),
    (action::DROP_TABLE, Allowed::WriteInMain),
    (action::DROP_INDEX, Allowed::IndexInMain),
    (action::DROP_VIEW, Allowed::WriteInMain),
    // `DROP COLUMN` has the column where other actions have the database.
    (action::ALTER_TABLE, Allowed::AlterInMain),
    (action::REINDEX, Allowed::InMain),
    (action::ANALYZE, Allowed::InMain),
    (action::FUNCTION, Allowed::Function),
    (action::PRAGMA, Allowed::Pragma),
];

/// PRAGMAs that describe or check a table or an index, or are about foreign keys in the transaction alone.
/// `ALTER TABLE` runs `quick_check`.
pub(crate) const PRAGMAS: &[&str] = &[
    "defer_foreign_keys",
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "quick_check",
    "table_info",
    "table_xinfo",
];

/// The functions that statements may call: all of SQLite's own that only compute.
pub(crate) const FUNCTIONS: &[&str] = &[
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "ceil",
    "ceiling",
    "changes",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_insert",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "julianday",
    "lag",
    "last_insert_rowid",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "random",
    "randomblob",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "sqlite_add_constraint",
    "sqlite_drop_column",
    "sqlite_drop_constraint",
    "sqlite_fail",
    "sqlite_find_constraint",
    "sqlite_rename_column",
    "sqlite_rename_quotefix",
    "sqlite_rename_table",
    "sqlite_rename_test",
    "sqlite_version",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "total_changes",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unistr_quote",
    "unixepoch",
    "unlikely",
    "upper",
    "zeroblob",
];

impl Action<'_> {
    /// Whether one of the rules allows it.
    ///   may_write  whether it is of a call that may write
    pub fn is_allowed(&self, rules: &[(i32, Allowed)], may_write: bool) -> bool {
        // It would be in force for the next write.
        let is_out_of_place = !may_write
            && self.action == action::PRAGMA
            && self.first.is_some_and(|name| name.eq_ignore_ascii_case(OF_WRITES));
        !is_out_of_place && rules.iter().any(|(action, allowed)| *action == self.action && self.fits(*allowed))
    }

    fn fits(&self, allowed: Allowed) -> bool {
        // Tables of payerbase and of JSON functions are in no database.
        let is_main = |name: Option<&str>| name.is_none_or(|name| name.eq_ignore_ascii_case("main"));
        let is_ours = |name: Option<&str>| name.is_some_and(is_reserved);
        let is_one_of = |name: Option<&str>, names: &[&str]| {
            name.is_some_and(|name| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        match allowed {
            Allowed::Always => true,
            Allowed::InMain => is_main(self.third),
            Allowed::WriteInMain => is_main(self.third) && !is_ours(self.first),
            Allowed::IndexInMain => is_main(self.third) && !is_ours(self.first) && !is_ours(self.second),
            Allowed::AlterInMain => is_main(self.first) && !is_ours(self.second),
            Allowed::TemporarySchema => self.third == Some("temp") && self.first == Some("sqlite_temp_master"),
            Allowed::Function => is_one_of(self.second, FUNCTIONS),
            Allowed::Pragma => self.second.is_some() && is_one_of(self.first, PRAGMAS),
        }
    }

    /// Why it is denied, and what to do instead.
    pub fn reason(&self) -> String {
        let named = |name: Option<&str>| name.unwrap_or_default().to_owned();
        if [action::CREATE_TRIGGER, action::CREATE_TEMP_TRIGGER].contains(&self.action) {
            return "Triggers are not allowed: send the statements together with `batchSql`.".into();
        }
        let is_temporary =
            [action::CREATE_TEMP_TABLE, action::CREATE_TEMP_VIEW, action::CREATE_TEMP_INDEX].contains(&self.action);
        if is_temporary || self.third == Some("temp") {
            return "Temporary tables and views would end with the call: use a common table expression (WITH), or a table.".into();
        }
        match self.action {
            action::TRANSACTION | action::SAVEPOINT => {
                "Transactions are not statements: each call is one transaction. Send several statements with `batchSql`.".into()
            }
            action::ATTACH | action::DETACH => {
                ONE_DATABASE.into()
            }
            action::CREATE_VTABLE => "Virtual tables are not allowed.".into(),
            action::PRAGMA if self.first.is_some_and(|name| name.eq_ignore_ascii_case(OF_WRITES)) => {
                format!("The PRAGMA {OF_WRITES} is for the transaction of a write: send it with `batchSql`.")
            }
            action::PRAGMA => format!(
                "The PRAGMA {} is not allowed here. These are, with an argument, as in `quick_check(5)`: {}.",
                named(self.first),
                PRAGMAS.join(", ")
            ),
            action::FUNCTION => format!("The function {} is not allowed.", named(self.second)),
            action::CREATE_TABLE | action::CREATE_INDEX | action::CREATE_VIEW if self.first.is_some_and(is_reserved) => {
                reserved(&named(self.first))
            }
            _ if [self.first, self.second].into_iter().flatten().any(is_reserved) => {
                OWN_TABLES.into()
            }
            _ => "A statement may only use the tables, indexes and views of the payer's own database.".into(),
        }
    }
}

/// Whether a name belongs to payerbase's own tables.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.get(..RESERVED_PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED_PREFIX))
}

/// The reason why a name is refused.
pub(crate) fn reserved(name: &str) -> String {
    format!("The name {name} is reserved: the names of payerbase's own tables begin with `{RESERVED_PREFIX}`.")
}
