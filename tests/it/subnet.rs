//! `subnet`: what is kept of an address, and whose address it is (attacks 89 and 90 of the threat model).

use std::collections::HashSet;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use key_commune::subnet::{Network, NetworkError, Proxies, Subnet};
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn subnet(address: &str) -> Subnet {
    Subnet::from(ip(address))
}

#[test]
fn attack_89_no_more_of_an_address_is_kept_than_its_subnet() {
    let table = [
        ("1.2.3.4", "1.2.3.0/24"),
        ("192.168.1.100", "192.168.1.0/24"),
        ("0.0.0.0", "0.0.0.0/24"),
        ("255.255.255.255", "255.255.255.0/24"),
        ("::ffff:1.2.3.4", "1.2.3.0/24"),
        ("::ffff:102:304", "1.2.3.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:db8::1", "2001:db8::/48"),
        ("2001:0:1::", "2001:0:1::/48"),
        ("fe80::1", "fe80::/48"),
        ("::1", "::/48"),
        ("::1.2.3.4", "::/48"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48"),
    ];
    for (address, kept) in table {
        assert_eq!(subnet(address).to_string(), kept, "{address}");
        assert_eq!(format!("{:?}", subnet(address)), format!("Subnet({kept})"));
        assert_eq!(kept.parse(), Ok(subnet(address)));
        let json = serde_json::to_string(&subnet(address)).unwrap();
        assert_eq!(json, format!("\"{kept}\""));
        assert_eq!(serde_json::from_str::<Subnet>(&json).unwrap(), subnet(address));
    }
}

#[test]
fn neighbours_are_one_and_others_are_not() {
    assert_eq!(subnet("1.2.3.4"), subnet("1.2.3.255"));
    assert_eq!(subnet("2001:db8:1:2::"), subnet("2001:db8:1:ffff::9"));
    let others = ["1.2.3.4", "1.2.4.4", "0.0.0.0", "::", "::1:0:0:0:0:0", "0:0:102::", "102:300::"];
    assert_eq!(others.iter().map(|address| subnet(address)).collect::<HashSet<_>>().len(), others.len());
}

#[test]
fn no_other_text_is_a_subnet() {
    let script = format!("<script>{}</script>", "A".repeat(4_008));
    assert_eq!(script.len(), 4_025);
    let texts = [
        &script,
        "",
        "/",
        "/24",
        "1.2.3.0",
        "1.2.3.0/",
        "1.2.3.4/24",
        "1.2.3.0/25",
        "1.2.3.0/+24",
        "1.2.3.0/024",
        " 1.2.3.0/24",
        "1.2.3.0/24 ",
        "1.2.3/24",
        "01.2.3.0/24",
        "::ffff:1.2.3.0/24",
        "::ffff:1.2.3.0/120",
        "2001:db8:1::/64",
        "2001:db8:1:2::/48",
        "2001:DB8:1::/48",
        "2001:db8:1:0::/48",
        "2001:db8:1::/48/48",
        "[2001:db8:1::]/48",
        "fe80::%1/48",
        "unknown",
    ];
    for text in texts {
        assert!(text.parse::<Subnet>().is_err(), "{text}");
        assert!(serde_json::from_value::<Subnet>(text.into()).is_err(), "{text}");
    }
    assert_eq!(
        "x".parse::<Subnet>().unwrap_err().to_string(),
        "a subnet is written as 192.0.2.0/24 or 2001:db8:1::/48"
    );
}

#[test]
fn networks() {
    let table = [
        ("10.0.0.0/8", "10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("10.0.0.0/8", "10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ("192.0.2.128/25", "192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
        ("192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
        ("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::"),
        ("::/0", "::/0", "ffff::", "0.0.0.0"),
        ("::1", "::1/128", "::1", "::"),
        ("2001:DB8::/33", "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.9.9.9", "11.0.0.0"),
        ("::ffff:10.0.0.1", "10.0.0.1/32", "10.0.0.1", "10.0.0.0"),
        ("::ffff:0.0.0.0/96", "0.0.0.0/0", "9.9.9.9", "::"),
    ];
    for (text, printed, inside, outside) in table {
        let network: Network = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(network.to_string(), printed);
        assert!(network.contains(ip(inside)), "{text}: {inside}");
        assert!(!network.contains(ip(outside)), "{text}: {outside}");
    }
}

#[test]
fn what_is_no_network_is_told_why() {
    type Why = fn(String) -> NetworkError;
    let table: [(&str, Why); 17] = [
        ("", NetworkError::Address),
        ("10/8", NetworkError::Address),
        ("10.0.0/8", NetworkError::Address),
        ("/8", NetworkError::Address),
        ("localhost", NetworkError::Address),
        ("[::1]/128", NetworkError::Address),
        ("10.0.0.0:80", NetworkError::Address),
        (" 10.0.0.0/8", NetworkError::Address),
        ("10.0.0.0/", NetworkError::Prefix),
        ("10.0.0.0/33", NetworkError::Prefix),
        ("10.0.0.0/+8", NetworkError::Prefix),
        ("10.0.0.0/255.0.0.0", NetworkError::Prefix),
        ("::/129", NetworkError::Prefix),
        ("::/99999999999", NetworkError::Prefix),
        ("10.0.0.1/8", NetworkError::HostBits),
        ("2001:db8::1/32", NetworkError::HostBits),
        ("::ffff:10.0.0.0/64", NetworkError::HostBits),
    ];
    for (text, error) in table {
        let expected = error(text.into());
        assert_eq!(text.parse::<Network>(), Err(expected.clone()), "{text}");
        assert!(expected.to_string().starts_with(&format!("{text:?} ")));
    }
    assert_eq!("10.0.0.0/8,x".parse::<Proxies>(), Err(NetworkError::Address("x".into())));
    assert_eq!("".parse::<Proxies>(), Err(NetworkError::Address(String::new())));
}

/// The lines of `X-Forwarded-For`, from the first to the last.
fn forwarded<T: AsRef<[u8]>>(lines: &[T]) -> HeaderMap {
    let lines = lines.iter().map(|line| HeaderValue::from_bytes(line.as_ref()).unwrap());
    lines.map(|line| (http::HeaderName::from_static("x-forwarded-for"), line)).collect()
}

// Trusted: 10.0.0.0/8 and fd00::/8. The client is always 192.0.2.7 or 2001:db8::7; what it makes up names 6.6.6.6.
#[test]
fn attack_90_nobody_passes_for_another() {
    let table: [(&str, &[&str], &str); 33] = [
        // No proxy: the header is the client's own, whatever it says.
        ("192.0.2.7", &[], "192.0.2.7"),
        ("192.0.2.7", &["6.6.6.6"], "192.0.2.7"),
        ("192.0.2.7", &["6.6.6.6, 10.0.0.1"], "192.0.2.7"),
        ("192.0.2.7", &["10.0.0.1"], "192.0.2.7"),
        ("2001:db8::7", &["6.6.6.6"], "2001:db8::7"),
        ("::ffff:192.0.2.7", &["6.6.6.6"], "192.0.2.7"),
        // One proxy, which has appended its peer.
        ("10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6,10.0.0.9,192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6", "192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", &["garbage", "", "192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6, 192.0.2.7:51234"], "192.0.2.7"),
        ("10.0.0.1", &["\t192.0.2.7 "], "192.0.2.7"),
        ("fd00::1", &["6.6.6.6, 2001:db8::7"], "2001:db8::7"),
        ("fd00::1", &["6.6.6.6, [2001:db8::7]:443"], "2001:db8::7"),
        ("::ffff:10.0.0.1", &["6.6.6.6, ::ffff:192.0.2.7"], "192.0.2.7"),
        // Two proxies.
        ("10.0.0.1", &["6.6.6.6, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6, 192.0.2.7", "10.0.0.2:80"], "192.0.2.7"),
        ("10.0.0.1", &["6.6.6.6, 2001:db8::7, [fd00::2]:80"], "2001:db8::7"),
        ("fd00::1", &["6.6.6.6, 192.0.2.7, ::ffff:10.0.0.2"], "192.0.2.7"),
        // A client among the proxies: nobody else is left.
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", &["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
        // What is no address is not believed, nor what stands before it.
        ("10.0.0.1", &["6.6.6.6, garbage"], "10.0.0.1"),
        ("10.0.0.1", &["6.6.6.6, "], "10.0.0.1"),
        ("10.0.0.1", &["6.6.6.6", ""], "10.0.0.1"),
        ("10.0.0.1", &["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["6.6.6.6, 192.0.2.7:x, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", &["6.6.6.6, 192.0.2.07"], "10.0.0.1"),
        ("10.0.0.1", &["6.6.6.6; 192.0.2.7"], "10.0.0.1"),
        ("10.0.0.1", &["6.6.6.6 192.0.2.7"], "10.0.0.1"),
        ("10.0.0.1", &["for=192.0.2.7"], "10.0.0.1"),
    ];
    let proxies: Proxies = "10.0.0.0/8, fd00::/8".parse().unwrap();
    for (peer, lines, client) in table {
        assert_eq!(proxies.client(ip(peer), &forwarded(lines)), ip(client), "{peer}, {lines:?}");
        assert_eq!(Proxies::default().client(ip(peer), &forwarded(lines)), ip(peer).to_canonical(), "trusting nobody");
    }
}

#[test]
fn attack_90_a_script_is_never_kept() {
    let proxies: Proxies = "10.0.0.0/8".parse().unwrap();
    let script = format!("<script>{}</script>", "A".repeat(4_008));
    let commas = ",".repeat(4_025);
    for garbage in [script.as_bytes(), commas.as_bytes(), b"\xff\xfe, \xc3\x28"] {
        assert_eq!(proxies.client(ip("192.0.2.7"), &forwarded(&[garbage])), ip("192.0.2.7"));
        assert_eq!(proxies.client(ip("10.0.0.1"), &forwarded(&[garbage])), ip("10.0.0.1"));
        assert_eq!(proxies.client(ip("10.0.0.1"), &forwarded(&[garbage, b"192.0.2.7"])), ip("192.0.2.7"));
        assert_eq!(proxies.client(ip("10.0.0.1"), &forwarded(&[b"6.6.6.6", garbage, b"10.0.0.2"])), ip("10.0.0.2"));
    }
}

#[test]
fn i7_no_more_than_32_entries_are_looked_at() {
    let proxies: Proxies = "10.0.0.0/8".parse().unwrap();
    let client =
        |hops: usize| proxies.client(ip("10.0.0.1"), &forwarded(&[format!("192.0.2.7{}", ", 10.0.0.2".repeat(hops))]));
    assert_eq!(client(31), ip("192.0.2.7"));
    assert_eq!(client(32), ip("10.0.0.2"));
}

proptest! {
    #[test]
    fn any_subnet_reads_as_it_is_printed(v4: u32, v6: u128) {
        for address in [IpAddr::from(v4.to_be_bytes()), IpAddr::from(v6.to_be_bytes())] {
            let subnet = Subnet::from(address);
            prop_assert_eq!(subnet.to_string().parse(), Ok(subnet));
            prop_assert!(subnet.to_string().parse::<Network>().unwrap().contains(address));
        }
    }

    /// Whatever a client writes, the proxy's word comes last and counts.
    #[test]
    fn what_a_client_writes_changes_nothing(lines in prop::collection::vec(r"[ -~]{0,40}|([0-9.:, ]|ffff){0,40}", 0..4)) {
        let proxies: Proxies = "10.0.0.0/8".parse().unwrap();
        let mut behind = lines.clone();
        behind.push("192.0.2.7".into());
        prop_assert_eq!(proxies.client(ip("10.0.0.1"), &forwarded(&behind)), ip("192.0.2.7"));
        prop_assert_eq!(proxies.client(ip("192.0.2.7"), &forwarded(&lines)), ip("192.0.2.7"));
    }
}
