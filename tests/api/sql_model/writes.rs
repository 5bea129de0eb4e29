//! Random statements that write rows.

use super::generator::Generator;
use super::schema::{Column, Table};

const CONFLICTS: [&str; 6] = ["", "", "", "or ignore ", "or replace ", "or fail "];

impl Generator {
    /// Columns to write, in the order of the table.
    fn some_columns(&mut self, table: &Table) -> Vec<Column> {
        let written = table.written();
        let chosen: Vec<Column> = written.iter().filter(|it| it.is_required || self.chance(80)).cloned().collect();
        if chosen.is_empty() { written } else { chosen }
    }

    /// A value for a column of a new row.
    fn value(&mut self, column: &Column) -> String {
        // Small keys, so that they meet.
        match column {
            Column { is_reference: true, .. } if self.chance(60) => "null".to_owned(),
            Column { is_rowid: true, .. } if self.chance(50) => "null".to_owned(),
            Column { is_reference: true, .. } => (1 + self.below(12)).to_string(),
            Column { is_key: true, .. } => (1 + self.below(90)).to_string(),
            Column { is_required: true, .. } if self.chance(50) => self.below(50).to_string(),
            Column { .. } => self.stored(&[]),
        }
    }

    fn rows(&mut self, columns: &[Column]) -> String {
        let count = 1 + self.below(5);
        let mut rows = Vec::new();
        for _ in 0..count {
            let values: Vec<String> = columns.iter().map(|column| self.value(column)).collect();
            rows.push(format!("({})", values.join(", ")));
        }
        rows.join(", ")
    }

    fn returning(&mut self, table: &Table) -> String {
        let columns = table.names();
        match self.below(5) {
            0 => " returning *".to_owned(),
            1 => format!(" returning {} as shown", self.expression(&columns, 1)),
            _ => String::new(),
        }
    }

    pub fn insert(&mut self) -> String {
        let table = self.table();
        let columns = self.some_columns(&table);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let (conflict, returning) = (self.one(&CONFLICTS), self.returning(&table));
        let source = match self.below(8) {
            0 => {
                let other = self.table();
                let own = other.names();
                let is_free = |column: &Column| !column.is_key && !column.is_reference;
                let values =
                    columns.iter().map(|column| if is_free(column) { self.stored(&own) } else { "null".into() });
                let values = values.collect::<Vec<_>>().join(", ");
                format!("select {values} from {} order by 1 limit 3", other.name)
            }
            1 if self.chance(40) => return format!("insert {conflict}into {} default values{returning}", table.name),
            _ => format!("values {}", self.rows(&columns)),
        };
        format!("insert {conflict}into {} ({}) {source}{returning}", table.name, names.join(", "))
    }

    pub fn upsert(&mut self) -> String {
        let table = self.table();
        let columns = self.some_columns(&table);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let rows = self.rows(&columns);
        let key = table.columns.iter().find(|column| column.is_key).map(|column| format!(" ({})", column.name));
        let target = if self.chance(80) { key.unwrap_or_default() } else { String::new() };
        let action = if self.chance(25) {
            "nothing".to_owned()
        } else {
            let plain: Vec<String> =
                columns.iter().filter(|it| !it.is_key && !it.is_reference).map(|it| it.name.clone()).collect();
            let column = if plain.is_empty() { names[0].to_owned() } else { self.one_of(&plain) };
            let value = match self.below(3) {
                0 => format!("excluded.{column}"),
                1 => format!("substr({}.{column} || excluded.{column}, 1, 9)", table.name),
                _ => self.literal(),
            };
            let filter = if self.chance(25) { format!(" where excluded.{column} is not null") } else { String::new() };
            format!("update set {column} = {value}{filter}")
        };
        let returning = self.returning(&table);
        format!(
            "insert into {} ({}) values {rows} on conflict{target} do {action}{returning}",
            table.name,
            names.join(", ")
        )
    }

    pub fn update(&mut self) -> String {
        let table = self.table();
        let columns = table.names();
        let changed: Vec<Column> = table.written().into_iter().filter(|it| !it.is_key && !it.is_reference).collect();
        if changed.is_empty() {
            return self.insert();
        }
        let (first, second) = (self.one_of(&changed).name, self.one_of(&changed).name);
        let (value, condition) = (self.stored(&columns), self.condition(&columns));
        let (conflict, returning) = (self.one(&CONFLICTS), self.returning(&table));
        let set = match self.below(3) {
            0 => format!("{first} = {value}, {second} = {}", self.literal()),
            1 => {
                let other = self.table();
                let own: Vec<String> = other.names().iter().map(|name| format!("q.{name}")).collect();
                let (read, key) = (self.one_of(&own), self.one_of(&columns));
                let inner = format!(
                    "select substr(max({read}), 1, 9) from {} q where {read} is {}.{key}",
                    other.name, table.name
                );
                format!("{first} = ({inner})")
            }
            _ => format!("{first} = {value}"),
        };
        format!("update {conflict}{} set {set} where {condition}{returning}", table.name)
    }

    pub fn delete(&mut self) -> String {
        let table = self.table();
        let columns = table.names();
        let condition = match self.below(4) {
            0 => format!("{} between 20 and 30", self.one_of(&columns)),
            1 | 2 => format!("{} = {}", self.one_of(&columns), self.literal()),
            _ => self.condition(&columns),
        };
        format!("delete from {} where {condition}{}", table.name, self.returning(&table))
    }
}
