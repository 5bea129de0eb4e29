//! Random expressions.

use super::generator::Generator;

const LITERALS: [&str; 30] = [
    "null",
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "13",
    "42",
    "9007199254740993",
    "1.5",
    "-0.25",
    "0.1",
    "1e10",
    "''",
    "'a'",
    "'B'",
    "'abc'",
    "'12'",
    "'3.5'",
    "'x y'",
    "'Grüße'",
    "x'00ff'",
    "x''",
    "'2024-02-29'",
    "'2023-12-31 23:59:59'",
    "'{\"a\": 1, \"b\": [2, null]}'",
    "'[1, \"x\", 2.5]'",
    "true",
    "'%b%'",
];
/// Expressions of other expressions.
const FORMS: [&str; 62] = [
    "({} + {})",
    "({} - {})",
    "({} * {})",
    "({} / {})",
    "({} % {})",
    "({} || {})",
    "({} & {})",
    "({} << 2)",
    "(- {})",
    "(not {})",
    "({} = {})",
    "({} < {})",
    "({} >= {})",
    "({} is {})",
    "({} is not {})",
    "({} is distinct from {})",
    "({} and {})",
    "({} or {})",
    "({} in ({}, {}))",
    "({} not in ({}, 3))",
    "({} between {} and {})",
    "({} like {})",
    "({} glob '*a*')",
    "({} is null)",
    "({} collate nocase = {})",
    "abs(1.0 * {})",
    "length({})",
    "upper({})",
    "lower({})",
    "trim({})",
    "hex({})",
    "quote({})",
    "typeof({})",
    "unicode({})",
    "substr({}, 2, 3)",
    "substr({}, {})",
    "instr({}, {})",
    "replace({}, 'a', {})",
    "round({}, 2)",
    "sign({})",
    "coalesce({}, {})",
    "nullif({}, {})",
    "ifnull({}, {})",
    "iif({}, {}, {})",
    "min({}, {})",
    "max({}, {}, {})",
    "case when {} then {} else {} end",
    "case {} when {} then {} end",
    "cast({} as integer)",
    "cast({} as real)",
    "cast({} as text)",
    "cast({} as numeric)",
    "date({})",
    "datetime({}, '+1 month', 'start of day')",
    "strftime('%Y %j %W', {})",
    "julianday({})",
    "json_array({}, 'b')",
    "case when json_valid({0}) then {0} ->> 'a' end",
    "case when json_valid({0}) then json_set({0}, '$.c', {}) end",
    "case when json_valid({0}) then json_type({0}, '$[1]') end",
    "printf('%d|%s|%.3f', {}, {}, {})",
    "concat_ws('-', {}, {})",
];
/// Their last digits depend on the build of SQLite: nothing is computed from them.
const MATHEMATICS: [&str; 8] =
    ["sqrt({})", "exp(min({}, 20))", "ln({})", "sin({})", "pow({}, 2)", "atan2({}, {})", "log10({})", "degrees({})"];

impl Generator {
    /// An expression of these columns.
    pub fn expression(&mut self, columns: &[String], depth: u32) -> String {
        if depth == 0 || self.chance(25) {
            return if columns.is_empty() || self.chance(35) { self.literal() } else { self.one_of(columns) };
        }
        let form = self.one(&FORMS);
        self.filled(form, columns, depth - 1)
    }

    /// An expression for a result, which nothing is computed from.
    pub fn shown(&mut self, columns: &[String]) -> String {
        if self.chance(10) {
            let form = self.one(&MATHEMATICS);
            return self.filled(form, columns, 0);
        }
        self.expression(columns, 2)
    }

    pub fn literal(&mut self) -> String {
        self.one(&LITERALS).to_owned()
    }

    /// A value that a statement stores. It is short, also if it is made of stored values.
    pub fn stored(&mut self, columns: &[String]) -> String {
        if columns.is_empty() || self.chance(50) {
            return self.literal();
        }
        let expression = self.expression(columns, 1);
        match self.below(3) {
            0 => format!("substr({expression}, 1, 12)"),
            1 => format!("cast({expression} as integer)"),
            _ => self.one_of(columns),
        }
    }

    pub fn condition(&mut self, columns: &[String]) -> String {
        let first = self.one_of(columns);
        match self.below(7) {
            0 => format!("{first} > {}", self.literal()),
            1 => format!("{first} = {}", self.literal()),
            2 => format!("{first} is not null"),
            3 => format!("{first} in ({}, {}, {first} + 1)", self.literal(), self.literal()),
            4 => format!("{} and {}", self.expression(columns, 1), self.expression(columns, 1)),
            _ => self.expression(columns, 2),
        }
    }

    /// The form with an expression in each `{}`, and the same one in each `{0}`.
    fn filled(&mut self, form: &str, columns: &[String], depth: u32) -> String {
        let same = self.expression(columns, depth);
        let mut text = String::new();
        for (number, part) in form.replace("{0}", &same).split("{}").enumerate() {
            if number > 0 {
                text += &self.expression(columns, depth);
            }
            text += part;
        }
        text
    }
}
