//! An address and how many of its leading bits count.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin with the same bits, as in `10.0.0.0/8`, or a single one.
///
/// An address mapped into IPv6 (`::ffff:10.0.0.0/104`) stands for the IPv4 address, here as in [`contains`](Self::contains).
///
/// ```
/// use key_commune::subnet::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?));
/// assert!(network.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!network.contains("11.0.0.0".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= self.prefix
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }

    /// How many bits follow the prefix, and must be zero in the first address.
    fn rest(self) -> u32 {
        length(self.first) - self.prefix
    }

    fn is_aligned(self) -> bool {
        let zeros = match self.first {
            IpAddr::V4(first) => first.to_bits().trailing_zeros(),
            IpAddr::V6(first) => first.to_bits().trailing_zeros(),
        };
        zeros >= self.rest()
    }
}

/// In bits.
const fn length(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(text.into()))?;
        let prefix = prefix.map_or(Some(length(address)), |prefix| read_prefix(prefix, length(address)));
        let prefix = prefix.ok_or_else(|| NetworkError::Prefix(text.into()))?;
        let network = canonical(Self { first: address, prefix });
        if network.is_aligned() { Ok(network) } else { Err(NetworkError::HostBits(text.into())) }
    }
}

/// Digits only: `str::parse` takes a plus sign, too.
fn read_prefix(digits: &str, longest: u32) -> Option<u32> {
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits?.parse().ok().filter(|&prefix| prefix <= longest)
}

/// As IPv4, if it was an IPv4 network mapped into IPv6: the mapping takes the first 96 bits.
fn canonical(network: Network) -> Network {
    match (network.first.to_canonical(), network.prefix.checked_sub(96)) {
        (first @ IpAddr::V4(_), Some(prefix)) if network.first.is_ipv6() => Network { first, prefix },
        _ => network,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Why a text is no [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// It does not begin with an IP address.
    #[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Address(String),
    /// What follows the slash is not a number, or one that the address is too short for.
    #[error("{0:?} needs a prefix length after the slash: 0 to 32 for IPv4, 0 to 128 for IPv6")]
    Prefix(String),
    /// The address has bits beyond the prefix, so that one of the two must be a mistake.
    #[error("{0:?} names an address inside of a network: give the network's first address, or no prefix length")]
    HostBits(String),
}
