//! The tables that are there, and the statements that change them.

use serde_json::Value;

use super::generator::{Generator, Statement};
use super::native::Native;

/// Maximum number of tables, indexes and views.
const TABLES_MAX: usize = 6;
const INDEXES_MAX: usize = 10;
const VIEWS_MAX: usize = 5;

const TYPES: [&str; 9] = ["", "integer", "text", "real", "numeric", "blob", "int", "text collate nocase", "varchar(9)"];
const STRICT_TYPES: [&str; 4] = ["integer", "text", "real", "any"];
const RULES: [&str; 9] = [
    "",
    "",
    "",
    "not null",
    "unique",
    "default 7",
    "not null default 'none'",
    "check ({} is not 13)",
    "check (length({}) < 30)",
];
const CONFLICTS: [&str; 4] = ["", "", " on conflict ignore", " on conflict replace"];
const GENERATED: [&str; 6] =
    ["length({})", "{} || '!'", "coalesce({}, 0) + 1", "typeof({})", "{} > 3", "json_array({}, 1)"];

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// Whether it belongs to the primary key.
    pub is_key: bool,
    /// Whether it is the rowid: NULL takes the next one.
    pub is_rowid: bool,
    /// Whether NULL is refused.
    pub is_required: bool,
    /// Whether it refers to the key of another table.
    pub is_reference: bool,
    pub is_generated: bool,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
}

#[derive(Debug, Default)]
pub struct Schema {
    pub tables: Vec<Table>,
    pub views: Vec<String>,
    pub indexes: Vec<String>,
}

impl Schema {
    pub fn read(native: &mut Native) -> Self {
        let mut schema = Self::default();
        let columns =
            "select m.name, x.name, x.pk, x.hidden, x.type, x.\"notnull\" from sqlite_schema m join pragma_table_xinfo(m.name) x
            where m.type = 'table' and m.name not like 'sqlite_%' order by m.name, x.cid";
        for row in native.rows(columns) {
            let [table, name, key, hidden, kind, required] = &row[..] else { unreachable!("six columns") };
            let column = Column {
                name: text(name),
                is_key: key != 0,
                is_rowid: key != 0 && kind == "INTEGER",
                is_required: (key != 0 && kind != "INTEGER") || required != 0,
                is_reference: name == "p",
                is_generated: hidden != 0,
            };
            match schema.tables.last_mut().filter(|it| *table == it.name) {
                Some(known) => known.columns.push(column),
                None => schema.tables.push(Table { name: text(table), columns: vec![column] }),
            }
        }
        for row in
            native.rows("select type, name from sqlite_schema where type <> 'table' and sql is not null order by 2")
        {
            let names = if row[0] == "view" { &mut schema.views } else { &mut schema.indexes };
            names.push(text(&row[1]));
        }
        schema
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Table {
    /// Columns that a statement may write.
    pub fn written(&self) -> Vec<Column> {
        self.columns.iter().filter(|column| !column.is_generated).cloned().collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }
}

impl Generator {
    pub fn table(&mut self) -> Table {
        let tables = self.schema.tables.clone();
        self.one_of(&tables)
    }

    pub fn create_table(&mut self) -> Statement {
        if self.schema.tables.len() >= TABLES_MAX {
            return self.drop_something();
        }
        let name = self.new_name("t");
        let (is_strict, has_rowid) = (self.chance(20), self.chance(80));
        let mut columns = vec![match (has_rowid, self.below(3)) {
            (true, 0) => "id integer primary key autoincrement".to_owned(),
            (true, _) => "id integer primary key".to_owned(),
            (false, _) => "id int primary key".to_owned(),
        }];
        for number in 0..2 + self.below(4) {
            let column = format!("c{number}");
            let declared = if is_strict { self.one(&STRICT_TYPES) } else { self.one(&TYPES) };
            let rule = self.one(&RULES).replace("{}", &column);
            let conflict = if rule == "unique" || rule == "not null" { self.one(&CONFLICTS) } else { "" };
            columns.push(format!("{column} {declared} {rule}{conflict}"));
        }
        if self.chance(35) {
            let expression = self.one(&GENERATED).replace("{}", "c0");
            let kind = self.one(&["stored", "virtual"]);
            columns.push(format!("g {} as ({expression}) {kind}", if is_strict { "any" } else { "" }));
        }
        if self.chance(30) && !self.schema.tables.is_empty() {
            let parent = self.table();
            let action = self.one(&["cascade", "set null", "restrict", "no action deferrable initially deferred"]);
            columns.push(format!("p int references {} on delete {action}", parent.name));
        }
        if self.chance(20) {
            columns.push(self.one(&["unique (c0, c1)", "check (c0 is not c1 or c0 is null)"]).to_owned());
        }
        let mut options = Vec::new();
        options.extend(is_strict.then_some("strict"));
        options.extend((!has_rowid).then_some("without rowid"));
        Statement::of_schema(format!("create table {name} ({}) {}", columns.join(", "), options.join(", ")))
    }

    pub fn create_index(&mut self) -> Statement {
        if self.schema.indexes.len() >= INDEXES_MAX {
            return self.drop_something();
        }
        let (name, table) = (self.new_name("i"), self.table());
        let columns = table.names();
        let (first, second) = (self.one_of(&columns), self.one_of(&columns));
        let parts = match self.below(5) {
            0 => first.clone(),
            1 => format!("{first}, {second} desc"),
            2 => format!("{first} collate nocase"),
            3 => format!("length({first}), {second}"),
            _ => format!("coalesce({first}, {second})"),
        };
        let filter = match self.below(4) {
            0 => format!(" where {first} is not null"),
            1 => format!(" where {second} > 2"),
            _ => String::new(),
        };
        let unique = if self.chance(20) { "unique " } else { "" };
        Statement::of_schema(format!("create {unique}index {name} on {} ({parts}){filter}", table.name))
    }

    pub fn create_view(&mut self) -> Statement {
        if self.schema.views.len() >= VIEWS_MAX {
            return self.drop_something();
        }
        let name = self.new_name("v");
        let query = self.query();
        Statement::of_schema(format!("create view {name} as {query}"))
    }

    pub fn alter(&mut self) -> Statement {
        let table = self.table();
        let names = table.names();
        let column = self.one_of(&names);
        let change = match self.below(10) {
            0..4 => {
                let added = self.new_name("a");
                let rule = self.one(&[
                    "",
                    "integer",
                    "text default 'added'",
                    "real not null default 1.5",
                    "check ({} is not 5)",
                    "as (length(id))",
                    "int not null",
                    "any",
                ]);
                format!("add column {added} {}", rule.replace("{}", &added))
            }
            4..6 => format!("rename column {column} to {}", self.new_name("r")),
            6 => format!("drop column {column}"),
            7 => format!("alter column {column} {} not null", self.one(&["set", "drop"])),
            8 => format!("add constraint {} check ({column} is not 11)", self.new_name("k")),
            _ => format!("rename to {}", self.new_name("t")),
        };
        Statement::of_schema(format!("alter table {} {change}", table.name))
    }

    pub fn drop_something(&mut self) -> Statement {
        let (views, indexes) = (self.schema.views.clone(), self.schema.indexes.clone());
        let sql = match self.below(5) {
            0 if self.chance(50) => format!("drop table {}", self.table().name),
            0..3 if !views.is_empty() => format!("drop view {}", self.one_of(&views)),
            _ if !indexes.is_empty() => format!("drop index {}", self.one_of(&indexes)),
            _ => format!("reindex {}", self.table().name),
        };
        Statement::of_schema(sql)
    }
}
