//! Who the client is behind the reverse proxies that are trusted.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;

use super::{Network, NetworkError};

/// As many entries of `X-Forwarded-For` are looked at.
const MAX_HOPS: usize = 32;

/// The reverse proxies that are believed when they tell whom they speak for. By default there are none.
///
/// List nothing but proxies, all of which append the address of their peer to `X-Forwarded-For`: any other machine of a
/// network that is listed here can pass for any client.
///
/// ```
/// use http::HeaderMap;
/// use key_commune::subnet::Proxies;
///
/// let proxies: Proxies = "10.0.0.0/8, ::1".parse()?;
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.2".parse()?);
///
/// // 10.0.0.2 is trusted to have seen 192.0.2.7, which is free to claim that it speaks for 6.6.6.6.
/// assert_eq!(proxies.client("10.0.0.1".parse()?, &headers).to_string(), "192.0.2.7");
/// assert_eq!(proxies.client("203.0.113.5".parse()?, &headers).to_string(), "203.0.113.5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Box<[Network]>);

impl Proxies {
    /// The address of the client: that of the peer, unless the peer is trusted. Then `X-Forwarded-For` is read from its
    /// end, over all of its lines, up to the first address that is not trusted; or to the last that is, if there are no
    /// more, if what comes next is no address, or after 32 entries.
    ///
    /// An IPv4 address that is mapped into IPv6 is answered as IPv4.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = hops(headers).take(MAX_HOPS);
        while self.trust(client) {
            let Some(Some(hop)) = hops.next() else { break };
            client = hop.to_canonical();
        }
        client
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl FromIterator<Network> for Proxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl FromStr for Proxies {
    type Err = NetworkError;

    /// Networks and addresses with commas between them.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        text.split(',').map(|network| network.trim().parse::<Network>()).collect()
    }
}

/// What the proxies say, the nearest first; `None` for what is not an address.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b',')).map(read_hop)
}

/// An address, with a port or without.
fn read_hop(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    text.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip())).ok()
}
