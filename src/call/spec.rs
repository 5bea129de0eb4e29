//! The description of a method.

use crate::auth::Scope;
use crate::pay::Tier;
use crate::problem::Code;
use crate::quotas::Primitive;
use crate::turn::{Access, Batching, Origin};

/// Body size limit of most operations, in bytes: room for every documented value, and little memory for a slow sender.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// A parameter that a `$ref` can fill, and the JSON that replaces it while the other parameters are parsed. SQL refuses
/// a value that does not fit.
pub type Ref = (&'static str, &'static str);

/// The description of a method: `Spec::write("increment").scope(Scope::CountersWrite)`.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name of the method, from the `operationId` to SQL.
    pub name: &'static str,
    /// Whether it writes.
    pub access: Access,
    /// Whether it shares a statement with other calls.
    pub batching: Batching,
    /// The scope that the caller needs.
    pub scope: Option<Scope>,
    /// The tier of its price.
    pub tier: Tier,
    /// The primitive whose rows it adds, changes or deletes. `None`: one without a quota.
    pub primitive: Option<Primitive>,
    /// Whether its payment is all credit: it costs nothing, and needs a payment.
    pub tops_up: bool,
    /// The problems of this method. The problems of all methods are added to them.
    pub problems: &'static [Code],
    /// The parameters that a `$ref` can fill.
    pub refs: &'static [Ref],
    /// The parameters that are names, for tokens that are limited to a prefix; `memories.id`: those of the items of a batch.
    /// Empty: it uses no name, or a secret instead of one. `None`: it uses names that the caller does not send.
    pub names: Option<&'static [&'static str]>,
    /// Whether its lease is a secret instead of a name.
    pub is_by_lease: bool,
    /// Whether the query vector is a parameter of its own ([`super::Method::vector`]).
    pub binds_vector: bool,
    /// How much work a call is, in simple calls, unless it depends on the parameters.
    pub weight: usize,
    /// Whether several calls of one payer can run as a set: `rpc.<method>_run` in SQL.
    pub has_run: bool,
    /// The sender of its calls.
    pub origin: Origin,
    /// Body size limit, in bytes.
    pub body_bytes_max: usize,
    /// The member of the result that is a secret: no `$ref` can refer to it.
    pub secret: Option<&'static str>,
    /// Whether its result has a secret that the server does not know afterwards. Such a call takes no idempotency key.
    pub shows_secret_once: bool,
    /// Whether the parameters may contain U+0000: the method removes or refuses it.
    pub takes_nul: bool,
    /// Whether it runs SQL, before the turn and so before the other calls of a transaction.
    pub runs_sql: bool,
    /// The media type of the file that its body is, instead of JSON: the parameter `file`.
    pub takes_file: Option<&'static str>,
}

impl Spec {
    const fn new(name: &'static str, access: Access) -> Self {
        let (batching, body_bytes_max) = (Batching::Batched, BODY_BYTES_MAX);
        let tier = match access {
            Access::Write => Tier::Write,
            Access::Read => Tier::Read,
        };
        Self {
            name,
            access,
            batching,
            scope: None,
            tier,
            primitive: None,
            tops_up: false,
            problems: &[],
            refs: &[],
            names: None,
            is_by_lease: false,
            binds_vector: false,
            weight: 1,
            has_run: false,
            origin: Origin::Payer,
            body_bytes_max,
            secret: None,
            shows_secret_once: false,
            takes_nul: false,
            runs_sql: false,
            takes_file: None,
        }
    }

    /// Whether it costs something on a server with prices.
    #[must_use]
    pub fn costs(&self) -> bool {
        self.tier != Tier::Free || self.tops_up
    }

    /// Whether a transaction may contain it.
    #[must_use]
    pub fn can_be_transacted(&self) -> bool {
        self.batching != Batching::Apart && !self.tops_up
    }

    /// A write.
    #[must_use]
    pub const fn write(name: &'static str) -> Self {
        Self::new(name, Access::Write)
    }

    /// A fast read.
    #[must_use]
    pub const fn read(name: &'static str) -> Self {
        Self::new(name, Access::Read)
    }

    /// A slow read: a list, a search or a statistic. A transaction cannot contain it.
    #[must_use]
    pub const fn slow_read(name: &'static str) -> Self {
        Self::new(name, Access::Read).apart()
    }

    /// Runs on a connection of the pool.
    #[must_use]
    pub const fn apart(mut self) -> Self {
        self.batching = Batching::Apart;
        self
    }

    /// Needs this scope.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Makes credit of the payment of its request.
    #[must_use]
    pub const fn tops_up(mut self) -> Self {
        self.tops_up = true;
        self.tier(Tier::Free)
    }

    /// Has another price than other writes or reads.
    #[must_use]
    pub const fn tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    /// Adds, changes or deletes rows of this primitive.
    #[must_use]
    pub const fn primitive(mut self, primitive: Primitive) -> Self {
        self.primitive = Some(primitive);
        self
    }

    /// Declares the problems of the method.
    #[must_use]
    pub const fn problems(mut self, problems: &'static [Code]) -> Self {
        self.problems = problems;
        self
    }

    /// Takes a `$ref` for these parameters.
    #[must_use]
    pub const fn refs(mut self, refs: &'static [Ref]) -> Self {
        self.refs = refs;
        self
    }

    /// Uses the names in these parameters. A call must send one of them, at least.
    #[must_use]
    pub const fn names(mut self, names: &'static [&'static str]) -> Self {
        self.names = Some(names);
        self
    }

    /// Has a query vector as a parameter of its own.
    #[must_use]
    pub const fn with_vector(mut self) -> Self {
        self.binds_vector = true;
        self
    }

    /// Is as much work as this number of simple calls.
    #[must_use]
    pub const fn weight(mut self, weight: usize) -> Self {
        self.weight = weight;
        self
    }

    /// Has a form for runs: several calls of one payer that are executed as a set.
    #[must_use]
    pub const fn with_run(mut self) -> Self {
        self.has_run = true;
        self
    }

    /// Has a secret in its result.
    #[must_use]
    pub const fn with_secret(mut self, member: &'static str) -> Self {
        self.secret = Some(member);
        self
    }

    /// Has a secret in its result that the server does not know afterwards.
    #[must_use]
    pub const fn with_secret_once(mut self, member: &'static str) -> Self {
        self.shows_secret_once = true;
        self.with_secret(member)
    }

    /// Ends or extends an attempt by its lease, which only the worker has that popped the job.
    #[must_use]
    pub const fn by_lease(mut self) -> Self {
        self.is_by_lease = true;
        self.names(&[])
    }

    /// Removes or refuses U+0000 itself.
    #[must_use]
    pub const fn takes_nul(mut self) -> Self {
        self.takes_nul = true;
        self
    }

    /// Runs SQL before its turn. A text of SQL may contain U+0000.
    #[must_use]
    pub const fn runs_sql(mut self) -> Self {
        self.runs_sql = true;
        self.takes_nul()
    }

    /// Has a file of this media type as its body.
    #[must_use]
    pub const fn takes_file(mut self, media_type: &'static str) -> Self {
        self.takes_file = Some(media_type);
        self
    }

    /// Is called by visitors of links.
    #[must_use]
    pub const fn of_visitors(mut self) -> Self {
        self.origin = Origin::Visitor;
        self
    }

    /// Is called by the sweeper.
    #[must_use]
    pub const fn by_sweeper(mut self) -> Self {
        self.origin = Origin::Sweeper;
        self
    }

    /// Takes a body of this size.
    #[must_use]
    pub const fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }
}
