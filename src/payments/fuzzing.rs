//! Offers for fuzz targets.

use super::offers::Offers;
use super::settings::PaidNetwork;
use crate::site::Site;

/// The offers of a server with these networks.
#[must_use]
pub fn offers(networks: Vec<PaidNetwork>, site: Site) -> Offers {
    Offers { networks: networks.into(), site, has_bazaar: true }
}
