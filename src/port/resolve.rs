//! Names to addresses, through the system's resolver.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::limits::ADDRESSES_MAX;

/// The addresses of a host, at most [`ADDRESSES_MAX`], each once, in the resolver's order.
///
/// It blocks for as long as the resolver does; nothing is remembered, since a name may point
/// elsewhere a minute later.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|why| format!("the host name {host} can not be resolved: {why}"))?;
    let mut addresses = Vec::new();
    for address in found {
        if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(format!("the host name {host} has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_resolver() {
        let cases = [("127.0.0.1", "127.0.0.1:9092"), ("::1", "[::1]:9092")];
        for (host, expected) in cases {
            assert_eq!(resolve(host, 9092), Ok(vec![expected.parse().unwrap()]), "{host}");
        }
    }

    #[test]
    fn a_name_without_address_says_so() {
        let problem = resolve("no host has a blank", 1).unwrap_err();
        assert!(problem.contains("no host has a blank"), "{problem}");
    }
}
