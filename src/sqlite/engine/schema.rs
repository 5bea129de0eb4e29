//! The description of a database.

use serde::de::DeserializeOwned;

use super::database::{Database, quoted, quoted_name};
use super::result::{Schema, Table};
use super::stopped::Stopped;
use crate::sqlite::limits::PAGE_BYTES;

const TABLES: &str = "SELECT json_object('name', name, 'isView', json(iif(type = 'view', 'true', 'false')), 'sql', sql, \
    'columns', json('[]'), 'indexes', json('[]'), 'rowCount', NULL) \
    FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name";

impl Database {
    /// Describes the tables and views.
    ///   bytes_left  how large the description may be, as JSON
    pub(super) fn schema(&mut self, bytes_left: &mut usize) -> Result<Schema, Stopped> {
        let mut tables: Vec<Table> = self.objects(TABLES, bytes_left)?;
        for table in &mut tables {
            let name = quoted(&table.name);
            let columns = format!(
                "SELECT json_object('name', name, 'type', type, 'isNotNull', json(iif(\"notnull\", 'true', 'false')), \
                'default', dflt_value, 'primaryKey', pk, 'isGenerated', json(iif(hidden IN (2, 3), 'true', 'false'))) \
                FROM pragma_table_xinfo({name}) WHERE hidden <> 1"
            );
            let columns = self.objects(&columns, bytes_left);
            if table.is_view {
                // It may refer to what does not exist.
                match columns {
                    Ok(columns) => table.columns = columns,
                    Err(Stopped::Sql { .. }) => {}
                    Err(stopped) => return Err(stopped),
                }
                continue;
            }
            table.columns = columns?;
            let indexes = format!(
                "SELECT json_object('name', list.name, 'sql', entry.sql, \
                'isUnique', json(iif(list.\"unique\", 'true', 'false'))) \
                FROM pragma_index_list({name}) list LEFT JOIN sqlite_schema entry ON entry.name = list.name \
                ORDER BY list.name"
            );
            table.indexes = self.objects(&indexes, bytes_left)?;
            let count = format!("SELECT count(*) FROM main.{}", quoted_name(&table.name));
            table.row_count = self.run_own(&count)?.first().and_then(|count| count.parse().ok());
        }
        let pages = self.guest.call(|functions| &functions.page_count, ())?;
        let bytes = i64::from(pages).saturating_mul(i64::try_from(PAGE_BYTES).unwrap_or(i64::MAX));
        Ok(Schema { tables, bytes })
    }

    /// Runs a statement whose rows are JSON objects.
    pub(super) fn objects<T: DeserializeOwned>(
        &mut self,
        sql: &str,
        bytes_left: &mut usize,
    ) -> Result<Vec<T>, Stopped> {
        let texts = self.run_own(sql)?;
        let bytes: usize = texts.iter().map(String::len).sum();
        *bytes_left = bytes_left.checked_sub(bytes).ok_or(Stopped::TooLarge)?;
        texts.iter().map(|text| serde_json::from_str(text).map_err(|_other| Stopped::Broken)).collect()
    }
}
