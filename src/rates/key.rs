//! Keys: whom a limit counts.

use std::net::{IpAddr, Ipv6Addr};

use crate::payer::Payer;

/// The bits of an IPv6 address that one client does not choose: a network gives it a /64.
const NETWORK_BITS: u32 = 64;

/// A kind of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Client addresses.
    Address,
    /// Payers.
    Payer,
}

impl Kind {
    /// The name of the kind: in Redis, and for a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Payer => "payer",
        }
    }
}

/// Whom a limit counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Name);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Address(IpAddr),
    Payer(Payer),
}

impl Key {
    /// A client address. An IPv6 address stands for its /64, an IPv4-mapped one for the IPv4 address.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self(Name::Address(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << NETWORK_BITS)).into(),
        }))
    }

    /// A payer.
    #[must_use]
    pub fn of_payer(payer: Payer) -> Self {
        Self(Name::Payer(payer))
    }

    /// The kind of the key.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.0 {
            Name::Address(_) => Kind::Address,
            Name::Payer(_) => Kind::Payer,
        }
    }

    /// The key in Redis, after a prefix.
    pub(super) fn in_redis(&self, prefix: &str) -> String {
        let kind = self.kind().name();
        match &self.0 {
            Name::Address(address) => format!("{prefix}:{kind}:{address}"),
            Name::Payer(payer) => format!("{prefix}:{kind}:{}", payer.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis_key_of(address: &str) -> String {
        Key::of_address(address.parse().unwrap()).in_redis("p")
    }

    #[test]
    fn addresses_are_counted_by_network() {
        assert_eq!(redis_key_of("192.0.2.1"), "p:address:192.0.2.1");
        assert_ne!(redis_key_of("192.0.2.1"), redis_key_of("192.0.2.2"));
        assert_eq!(redis_key_of("::ffff:192.0.2.1"), redis_key_of("192.0.2.1"));
        assert_eq!(redis_key_of("2001:db8:1:2:3:4:5:6"), "p:address:2001:db8:1:2::");
        assert_eq!(redis_key_of("2001:db8:1:2:ffff:ffff:ffff:ffff"), redis_key_of("2001:db8:1:2::"));
        assert_ne!(redis_key_of("2001:db8:1:3::1"), redis_key_of("2001:db8:1:2::1"));
    }
}
