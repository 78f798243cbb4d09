//! Hosts that no proxy stands before, as the AWS tools and curl read `NO_PROXY`.
//!
//! ```text
//! amazonaws.com        the host, and every one below it
//! .amazonaws.com       the same; *.amazonaws.com too
//! s3.local:9000        at this port alone
//! 10.1.2.3  10.0.0.0/8  [fd00::1]  fd00::/8                      addresses, and networks of them
//! *                    everything
//! ```

use std::net::IpAddr;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// `None`: at any.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// In small letters; those below it too.
    Name(String),
    /// Those that have the first so many bits in common.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// What can not be read as any of these is the name of no host.
    pub fn parse(list: &str) -> NoProxy {
        let entries = list.split([',', ' ']).map(str::trim).filter(|text| !text.is_empty());
        NoProxy { entries: entries.map(Entry::parse).collect() }
    }

    /// `host`: as a URL has it.
    pub fn has(&self, host: &str, port: u16) -> bool {
        let host = without_brackets(host).to_ascii_lowercase();
        self.entries.iter().any(|entry| {
            entry.port.is_none_or(|expected| expected == port) && entry.hosts.have(&host)
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Entry {
        let is_one_address = |text: &str| text.parse::<IpAddr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            // The last part of an address of IPv6 is no port.
            Some((host, port)) if !is_one_address(text) && !text.contains('/') => {
                match port.parse() {
                    Ok(port) => (host, Some(port)),
                    Err(_) => (text, None),
                }
            }
            _ => (text, None),
        };
        Entry { hosts: Hosts::parse(host), port }
    }
}

impl Hosts {
    fn parse(text: &str) -> Hosts {
        if text == "*" {
            return Hosts::All;
        }
        let text = without_brackets(text);
        if let Ok(address) = text.parse::<IpAddr>() {
            return Hosts::Network(address, bits(address).1);
        }
        if let Some((address, size)) = text.split_once('/')
            && let (Ok(address), Ok(size)) =
                (without_brackets(address).parse(), size.parse::<u32>())
            && size <= bits(address).1
        {
            return Hosts::Network(address, size);
        }
        let name = text.strip_prefix('*').unwrap_or(text).trim_start_matches('.');
        Hosts::Name(name.to_ascii_lowercase())
    }

    fn have(&self, host: &str) -> bool {
        match self {
            Hosts::All => true,
            Hosts::Name(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| !name.is_empty() && (rest.is_empty() || rest.ends_with('.'))),
            Hosts::Network(network, size) => host.parse::<IpAddr>().is_ok_and(|address| {
                let ((ours, count), (theirs, of)) = (bits(*network), bits(address));
                let rest = count - size;
                count == of && ours.checked_shr(rest) == theirs.checked_shr(rest)
            }),
        }
    }
}

/// The bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let s3 = "b.s3.eu-west-1.amazonaws.com";
        let cases = [
            ("amazonaws.com", s3, true),
            (".amazonaws.com", s3, true),
            ("*.AmazonAWS.com", s3, true),
            ("localhost, amazonaws.com", s3, true),
            ("localhost amazonaws.com", s3, true),
            (s3, "B.s3.eu-west-1.amazonaws.com", true),
            ("zonaws.com", s3, false),
            ("s3.eu-west-1.amazonaws.com.", s3, false),
            ("amazonaws.com:443", s3, true),
            ("amazonaws.com:8443", s3, false),
            ("amazonaws.com:x", s3, false),
            ("*", s3, true),
            ("*:443", s3, true),
            ("", s3, false),
            (".,*.,:443", s3, false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3:443", "10.1.2.3", true),
            ("0.1.2.3", "10.1.2.3", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.1.2.0/24", "10.1.3.3", false),
            ("0.0.0.0/0", "10.1.3.3", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/33", "10.1.3.3", false),
            ("10.0.0.0/8", "10.example", false),
            ("fd00::1", "[fd00::1]", true),
            ("[fd00::1]", "[fd00::1]", true),
            ("[fd00::1]:443", "[fd00::1]", true),
            ("[fd00::1]:80", "[fd00::1]", false),
            ("fd00::/8", "[fdff::1]", true),
            ("::/0", "[fdff::1]", true),
            ("fd00::/8", "[fe80::1]", false),
        ];
        for (list, host, expected) in cases {
            assert_eq!(NoProxy::parse(list).has(host, 443), expected, "{list}: {host}");
        }
    }
}
