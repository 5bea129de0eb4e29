//! Random queries. Each returns a few rows.

use super::generator::Generator;

const AGGREGATES: [&str; 11] = [
    "count(*)",
    "count({})",
    "count(distinct {})",
    "sum(cast({} as real))",
    "total({})",
    "avg({})",
    "min({})",
    "max({})",
    "group_concat({}, '/')",
    "json_group_array(typeof({}))",
    "group_concat(distinct {})",
];
const WINDOWED: [&str; 10] = [
    "row_number()",
    "rank()",
    "dense_rank()",
    "ntile(3)",
    "lag({}, 1, 0)",
    "lead({})",
    "first_value({})",
    "last_value({})",
    "nth_value({}, 2)",
    "percent_rank()",
];
const FRAMES: [&str; 6] = [
    "",
    " rows between 1 preceding and 1 following",
    " rows unbounded preceding",
    " groups between current row and 1 following exclude ties",
    " rows between 2 preceding and current row exclude current row",
    " range between unbounded preceding and unbounded following",
];
const JOINS: [&str; 5] = ["join", "left join", "right join", "full join", "cross join"];

/// What a query reads: the text after FROM, and the columns.
struct Source {
    text: String,
    columns: Vec<String>,
}

impl Generator {
    pub fn query(&mut self) -> String {
        match self.below(12) {
            0..3 => self.plain(),
            3..5 => self.grouped(),
            5..7 => self.windowed(),
            7 => self.with_subquery(),
            8 => self.compound(),
            9 => self.with_ctes(),
            10 => self.of_json(),
            _ => self.of_view(),
        }
    }

    /// One to three tables.
    fn source(&mut self) -> Source {
        let first = self.table();
        let mut text = format!("{} x", first.name);
        let mut columns: Vec<String> = first.names().iter().map(|name| format!("x.{name}")).collect();
        let count = [0, 0, 1, 1, 2][self.below(5)];
        for alias in ["y", "z"].into_iter().take(count) {
            let table = self.table();
            let own: Vec<String> = table.names().iter().map(|name| format!("{alias}.{name}")).collect();
            let (join, left, right) = (self.one(&JOINS), self.one_of(&columns), self.one_of(&own));
            let on = match self.below(4) {
                0 => format!("{left} = {right} and {right} is not 2"),
                1 => format!("{left} is {right}"),
                _ => format!("{left} = {right}"),
            };
            text = format!("{text} {join} {} {alias} on {on}", table.name);
            columns.extend(own);
        }
        Source { text, columns }
    }

    fn filter(&mut self, columns: &[String]) -> String {
        if self.chance(60) { format!(" where {}", self.condition(columns)) } else { String::new() }
    }

    fn plain(&mut self) -> String {
        let Source { text, columns } = self.source();
        let (first, second, third) = (self.one_of(&columns), self.shown(&columns), self.shown(&columns));
        let distinct = if self.chance(20) { "distinct " } else { "" };
        let filter = self.filter(&columns);
        let order =
            self.one(&["", " order by 1", " order by 1 desc, 2", " order by 2, 1 nulls last", " order by 3, 1"]);
        let limit = self.one(&["20", "5 offset 2", "12"]);
        format!("select {distinct}{first}, {second} as e, {third} from {text}{filter}{order} limit {limit}")
    }

    fn aggregate(&mut self, columns: &[String]) -> String {
        let column = self.one_of(columns);
        let call = self.one(&AGGREGATES).replace("{}", &column);
        if self.chance(15) { format!("{call} filter (where {})", self.condition(columns)) } else { call }
    }

    fn grouped(&mut self) -> String {
        let Source { text, columns } = self.source();
        let filter = self.filter(&columns);
        let (first, second) = (self.aggregate(&columns), self.aggregate(&columns));
        if self.chance(25) {
            return format!("select {first}, {second} from {text}{filter}");
        }
        let group = if self.chance(60) { self.one_of(&columns) } else { self.expression(&columns, 1) };
        let having = if self.chance(30) { " having count(*) > 1" } else { "" };
        format!("select ({group}) as k, {first}, {second} from {text}{filter} group by k{having} order by k limit 15")
    }

    fn windowed(&mut self) -> String {
        let Source { text, columns } = self.source();
        let (shown, partition, order) = (self.one_of(&columns), self.one_of(&columns), self.one_of(&columns));
        let function = if self.chance(40) { self.one(&AGGREGATES[..8]) } else { self.one(&WINDOWED) };
        let function = function.replace("distinct ", "").replace("{}", &shown);
        let partition = if self.chance(50) { format!("partition by {partition} ") } else { String::new() };
        let frame = self.one(&FRAMES);
        let filter = self.filter(&columns);
        format!(
            "select {shown}, {function} over ({partition}order by {order}{frame}) from {text}{filter} order by 1, 2 limit 20"
        )
    }

    fn with_subquery(&mut self) -> String {
        let (outer, inner) = (self.table(), self.table());
        let columns: Vec<String> = outer.names().iter().map(|name| format!("o.{name}")).collect();
        let own: Vec<String> = inner.names().iter().map(|name| format!("i.{name}")).collect();
        let (left, right, shown) = (self.one_of(&columns), self.one_of(&own), self.one_of(&columns));
        let (from, aggregate) = (&inner.name, self.aggregate(&own));
        let condition = match self.below(4) {
            0 => format!("exists (select 1 from {from} i where {right} = {left})"),
            1 => format!("{left} in (select {right} from {from} i)"),
            2 => format!("{left} not in (select {right} from {from} i where {right} is not null)"),
            _ => format!("{left} = (select max({right}) from {from} i where {right} <= {left})"),
        };
        let scalar = format!("(select {aggregate} from {from} i where {right} is {left})");
        format!("select {shown}, {scalar} as s from {} o where {condition} order by 1, 2 limit 15", outer.name)
    }

    fn compound(&mut self) -> String {
        let (first, second) = (self.table(), self.table());
        let (left, right) = (first.names(), second.names());
        let operator = self.one(&["union", "union all", "intersect", "except"]);
        let (left, right) = (self.one_of(&left), self.one_of(&right));
        let other = self.literal();
        format!(
            "select {left} as v, typeof({left}) from {} {operator} select {right}, typeof({right}) from {}
            union select {other}, 'literal' order by 1, 2 limit 25",
            first.name, second.name
        )
    }

    fn with_ctes(&mut self) -> String {
        let table = self.table();
        let columns = table.names();
        let (column, filter) = (self.one_of(&columns), self.filter(&columns));
        let hint = self.one(&["", " materialized", " not materialized"]);
        let end = 2 + self.below(9);
        match self.below(2) {
            0 => format!(
                "with recursive n(x) as (select 1 union all select x + 1 from n where x < {end}), w as{hint} (select {column} as v from {}{filter})
                select x, (select count(*) from w where v > x) as above from n order by x",
                table.name
            ),
            _ => format!(
                "with w(v, n) as{hint} (select {column}, count(*) from {}{filter} group by 1)
                select a.v, a.n, b.n from w a left join w b on a.n = b.n and a.v < b.v order by 1, 2, 3 limit 20",
                table.name
            ),
        }
    }

    fn of_json(&mut self) -> String {
        let table = self.table();
        let columns = table.names();
        let (column, filter) = (self.one_of(&columns), self.filter(&columns));
        match self.below(2) {
            0 => format!(
                "select j.type, count(*), min(j.value) from (select json_group_array(quote({column})) as all_values from {}{filter}) d,
                json_each(d.all_values) j group by 1 order by 1",
                table.name
            ),
            _ => format!(
                "select j.fullkey, j.type, j.atom from {} t, json_tree(case when json_valid(t.{column}) then t.{column} end) j
                order by t.{}, j.id limit 20",
                table.name, columns[0]
            ),
        }
    }

    fn of_view(&mut self) -> String {
        let views = self.schema.views.clone();
        if views.is_empty() {
            return self.plain();
        }
        format!("select * from {} limit 10", self.one_of(&views))
    }
}
