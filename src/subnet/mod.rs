//! Where a request comes from, as far as statistics need to know.
//!
//! A [`Subnet`] is what is kept of an address: too coarse to tell a household. [`Proxies`] find the address in the first
//! place: that of the peer, or what a reverse proxy that is trusted says about it. What a stranger sends is parsed as an
//! address or not used at all; none of its text is ever kept.

mod network;
mod proxies;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use network::{Network, NetworkError};
pub use proxies::Proxies;

/// The neighbourhood of an address: the /24 of an IPv4 address, the /48 of an IPv6 address (a /64 is one home). An
/// IPv4 address counts as such when it comes mapped into IPv6, too.
///
/// ```
/// use key_commune::subnet::Subnet;
/// use std::net::IpAddr;
///
/// let subnet = |address: &str| address.parse::<IpAddr>().map(|address| Subnet::from(address).to_string());
/// assert_eq!(subnet("192.0.2.77")?, "192.0.2.0/24");
/// assert_eq!(subnet("::ffff:192.0.2.77")?, "192.0.2.0/24");
/// assert_eq!(subnet("2001:db8:1:2:3:4:5:6")?, "2001:db8:1::/48");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(u64);

/// Above the 48 bits of the longer prefix.
const V4: u64 = 1 << 48;
const V6: u64 = 2 << 48;

impl Subnet {
    /// As one word, which is never 0.
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`to_bits`](Self::to_bits) made; `None` for anything else.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        match bits >> 24 {
            v4 if v4 == V4 >> 24 => Some(Self(bits)),
            v6 if v6 >> 24 == V6 >> 48 => Some(Self(bits)),
            _ => None,
        }
    }
}

impl From<IpAddr> for Subnet {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(V4 | u64::from(address.to_bits() >> 8)),
            IpAddr::V6(address) => Self(V6 | (address.to_bits() >> 80) as u64),
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < V6 {
            write!(f, "{}/24", Ipv4Addr::from_bits((self.0 as u32) << 8))
        } else {
            write!(f, "{}/48", Ipv6Addr::from_bits(u128::from(self.0 - V6) << 80))
        }
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subnet({self})")
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    /// Reads exactly what is printed.
    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let address = text.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok());
        let subnet = address.map(Self::from).filter(|subnet| subnet.to_string() == text);
        subnet.ok_or(SubnetError(()))
    }
}

impl Serialize for Subnet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subnet is written as 192.0.2.0/24 or 2001:db8:1::/48")]
pub struct SubnetError(());

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_fits_into_a_word_that_is_never_zero() {
        for address in ["0.0.0.0", "1.2.3.4", "255.255.255.255", "::", "2001:db8:1:2::", "ffff:ffff:ffff:ffff::"] {
            let subnet = Subnet::from(address.parse::<IpAddr>().unwrap());
            assert_ne!(subnet.to_bits(), 0, "{address}");
            assert_eq!(Subnet::from_bits(subnet.to_bits()), Some(subnet));
        }
    }

    #[test]
    fn other_words_are_no_subnets() {
        for bits in [0, 1, V4 - 1, V4 | 1 << 24, V4 | 1 << 47, V4 | V6, 4 << 48, V6 | 1 << 63, u64::MAX] {
            assert_eq!(Subnet::from_bits(bits), None, "{bits:x}");
        }
    }
}
