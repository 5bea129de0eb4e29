//! How a statement runs.

use serde_json::value::{RawValue, to_raw_value};

use super::code;
use super::database::{Database, Work};
use super::memory::Address;
use super::result::{Column, StatementResult};
use super::stopped::Stopped;
use crate::sqlite::statement::{Params, Statement};
use crate::sqlite::value::{Value, ValueRef};

impl Database {
    pub(super) fn run_statement(
        &mut self,
        statement: &Statement,
        work: &Work<'_>,
        bytes_left: &mut usize,
    ) -> Result<StatementResult, Stopped> {
        let text = self.guest.put(statement.sql.as_bytes())?;
        self.guest.store.data_mut().reads_last_insert_rowid = false;
        let prepared = self.prepare(text, statement.sql.len());
        self.guest.free(text)?;
        let prepared = prepared?;
        let result = self.run_prepared(prepared, statement, work, bytes_left);
        self.finish(prepared, result)
    }

    /// Compiles the one statement of a text.
    fn prepare(&mut self, text: Address, length: usize) -> Result<Address, Stopped> {
        let (statement, rest) = self.prepare_one(text, length)?;
        let mut refused = None;
        if statement == 0 {
            refused = Some(Stopped::sql("there is no statement"));
        } else if rest < length {
            let from = i32::try_from(rest).map_err(|_too_long| Stopped::Broken)?;
            let another = self.prepare_one(text.wrapping_add(from), length - rest);
            let another = another.map_or_else(
                |error| {
                    refused = Some(error);
                    0
                },
                |(another, _rest)| another,
            );
            if another != 0 {
                self.guest.call(|functions| &functions.finalize, (another,))?;
                let reason = "Each call runs one statement: send several with `batchSql`.";
                refused = Some(Stopped::NotAllowed(reason.into()));
            }
        }
        match refused {
            None => Ok(statement),
            Some(refused) => {
                self.guest.call(|functions| &functions.finalize, (statement,))?;
                Err(refused)
            }
        }
    }

    /// Compiles the first statement of a text. Returns it, and the offset of the rest.
    pub(super) fn prepare_one(&mut self, text: Address, length: usize) -> Result<(Address, usize), Stopped> {
        let bytes = i32::try_from(length).map_err(|_too_long| Stopped::TooLarge)?;
        let rest_at = self.out.wrapping_add(4);
        let parameters = (self.connection, text, bytes, 0, self.out, rest_at);
        if self.guest.call(|functions| &functions.prepare, parameters)? != code::OK {
            return Err(self.error()?);
        }
        let rest = self.guest.address_at(rest_at)?.wrapping_sub(text);
        let rest = usize::try_from(rest).ok().filter(|rest| *rest <= length).ok_or(Stopped::Broken)?;
        Ok((self.guest.address_at(self.out)?, rest))
    }

    fn run_prepared(
        &mut self,
        prepared: Address,
        statement: &Statement,
        work: &Work<'_>,
        bytes_left: &mut usize,
    ) -> Result<StatementResult, Stopped> {
        if statement.only_reads
            && self.guest.call(|functions| &functions.is_read_only, (prepared,))? == 0
            && self.guest.call(|functions| &functions.is_explain, (prepared,))? == 0
        {
            let reason = "`querySql` only reads: send a statement that writes with `executeSql` or `batchSql`.";
            return Err(Stopped::NotAllowed(reason.into()));
        }
        self.bind(prepared, &statement.params)?;
        let columns = self.columns(prepared, bytes_left)?;
        let rowid_before = self.guest.call(|functions| &functions.last_insert_rowid, (self.connection,))?;
        let reads_rowid = self.guest.store.data().reads_last_insert_rowid;
        if !reads_rowid {
            // It stays zero unless the statement inserts a row.
            self.guest.call(|functions| &functions.set_last_insert_rowid, (self.connection, 0))?;
        }
        let changes_before = self.guest.call(|functions| &functions.total_changes, (self.connection,))?;
        let (rows, row_count, truncated) = self.rows(prepared, columns.len(), work, bytes_left)?;
        let changes = self.guest.call(|functions| &functions.total_changes, (self.connection,))?;
        let rows_affected = match changes == changes_before {
            true => 0,
            false => self.guest.call(|functions| &functions.changes, (self.connection,))?,
        };
        let rowid = match self.guest.call(|functions| &functions.last_insert_rowid, (self.connection,))? {
            rowid if rowid == 0 || reads_rowid && rowid == rowid_before => ValueRef::Null,
            rowid => ValueRef::Integer(rowid),
        };
        if rowid == ValueRef::Null && !reads_rowid {
            self.guest.call(|functions| &functions.set_last_insert_rowid, (self.connection, rowid_before))?;
        }
        let last_insert_rowid = to_raw_value(&rowid).map_err(|_no_json| Stopped::Broken)?;
        Ok(StatementResult { columns, rows, row_count, truncated, rows_affected, last_insert_rowid })
    }

    /// Binds the parameters.
    fn bind(&mut self, prepared: Address, params: &Params) -> Result<(), Stopped> {
        let count = self.guest.call(|functions| &functions.parameter_count, (prepared,))?;
        let given = match params {
            Params::None => &[],
            Params::List(values) => values.as_slice(),
            Params::Named(values) => return self.bind_named(prepared, count, values),
        };
        if usize::try_from(count) != Ok(given.len()) {
            let detail = format!(
                "must have one value for each of the {count} parameters of the statement, and has {}",
                given.len()
            );
            return Err(Stopped::Parameters(detail));
        }
        (1..).zip(given).try_for_each(|(place, value)| self.bind_value(prepared, place, value.as_ref()))
    }

    fn bind_named(&mut self, prepared: Address, count: i32, values: &[(String, Value)]) -> Result<(), Stopped> {
        let mut is_used = vec![false; values.len()];
        for place in 1..=count {
            let name = self.guest.call(|functions| &functions.parameter_name, (prepared, place))?;
            let Some(name) = self.guest.text_or_null(name)? else {
                return Err(Stopped::Parameters("must be an array: the statement has parameters without names".into()));
            };
            let bare = name.get(1..).unwrap_or_default();
            let found = values.iter().zip(&mut is_used).find(|((given, _), _)| *given == name || given == bare);
            let Some(((_, value), is_used)) = found else {
                return Err(Stopped::Parameters(format!("must have a value for `{name}`")));
            };
            *is_used = true;
            self.bind_value(prepared, place, value.as_ref())?;
        }
        match values.iter().zip(is_used).find(|(_, is_used)| !is_used) {
            Some(((name, _), _)) => Err(Stopped::Parameters(format!(
                "must not have a value for `{name}`: the statement has no such parameter"
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn bind_value(&mut self, prepared: Address, place: i32, value: ValueRef<'_>) -> Result<(), Stopped> {
        let bound = match value {
            // A parameter without a value is NULL.
            ValueRef::Null => code::OK,
            ValueRef::Integer(integer) => {
                self.guest.call(|functions| &functions.bind_integer, (prepared, place, integer))?
            }
            ValueRef::Real(real) => self.guest.call(|functions| &functions.bind_real, (prepared, place, real))?,
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                let length = i32::try_from(bytes.len()).map_err(|_too_long| Stopped::TooLarge)?;
                let address = self.guest.put(bytes)?;
                let is_text = matches!(value, ValueRef::Text(_));
                let bound = self.guest.call(
                    |functions| if is_text { &functions.bind_text } else { &functions.bind_blob },
                    (prepared, place, address, length),
                )?;
                self.guest.free(address)?;
                bound
            }
        };
        if bound == code::OK { Ok(()) } else { Err(self.error()?) }
    }

    fn columns(&mut self, prepared: Address, bytes_left: &mut usize) -> Result<Vec<Column>, Stopped> {
        let count = self.guest.call(|functions| &functions.column_count, (prepared,))?;
        let column = |place| {
            let name = self.guest.call(|functions| &functions.column_name, (prepared, place))?;
            let declared = self.guest.call(|functions| &functions.column_declared_type, (prepared, place))?;
            let column = Column { name: self.guest.text(name)?, r#type: self.guest.text_or_null(declared)? };
            let bytes = serde_json::to_string(&column).map_err(|_no_json| Stopped::Broken)?.len();
            *bytes_left = bytes_left.checked_sub(bytes).ok_or(Stopped::TooLarge)?;
            Ok(column)
        };
        (0..count).map(column).collect()
    }

    /// Runs the statement. Returns its rows as JSON, their number, and whether rows are left out.
    fn rows(
        &mut self,
        prepared: Address,
        columns: usize,
        work: &Work<'_>,
        bytes_left: &mut usize,
    ) -> Result<(Box<RawValue>, usize, bool), Stopped> {
        let (mut json, mut count, mut truncated) = (b"[".to_vec(), 0, false);
        while self.step(prepared)? {
            if truncated {
                continue;
            }
            let row_at = json.len();
            if count < work.limits.rows {
                self.row(prepared, columns, &mut json, work.limits.bytes)?;
            }
            truncated = count >= work.limits.rows || json.len() > *bytes_left;
            if !truncated {
                count += 1;
                continue;
            }
            // No call would return it.
            if count == 0 && json.len() > work.limits.bytes {
                return Err(Stopped::RowTooLarge);
            }
            json.truncate(row_at);
            // A statement that writes runs to its end.
            if !work.may_write {
                break;
            }
        }
        *bytes_left = bytes_left.saturating_sub(json.len());
        json.push(b']');
        let json = String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok());
        Ok((json.ok_or(Stopped::Broken)?, count, truncated))
    }

    /// Adds a row, or a part of it that exceeds the limit.
    fn row(&mut self, prepared: Address, columns: usize, json: &mut Vec<u8>, bytes_max: usize) -> Result<(), Stopped> {
        json.extend_from_slice(if json.len() == 1 { b"[" } else { b",[" });
        for place in (0..).take(columns) {
            if json.len() > bytes_max {
                return Ok(());
            }
            if place > 0 {
                json.push(b',');
            }
            let value = self.value(prepared, place)?;
            serde_json::to_writer(&mut *json, &value).map_err(|_no_json| Stopped::Broken)?;
        }
        json.push(b']');
        Ok(())
    }

    /// A value of the row.
    pub(super) fn value(&mut self, prepared: Address, place: i32) -> Result<ValueRef<'_>, Stopped> {
        let column = (prepared, place);
        Ok(match self.guest.call(|functions| &functions.column_type, column)? {
            1 => ValueRef::Integer(self.guest.call(|functions| &functions.column_integer, column)?),
            2 => ValueRef::Real(self.guest.call(|functions| &functions.column_real, column)?),
            3 => {
                let address = self.guest.call(|functions| &functions.column_text, column)?;
                let length = self.guest.call(|functions| &functions.column_bytes, column)?;
                ValueRef::Text(self.guest.bytes(address, length)?)
            }
            4 => {
                let address = self.guest.call(|functions| &functions.column_blob, column)?;
                let length = self.guest.call(|functions| &functions.column_bytes, column)?;
                ValueRef::Blob(self.guest.bytes(address, length)?)
            }
            _ => ValueRef::Null,
        })
    }
}
