//! `KAFKA_BOOTSTRAP_SERVERS`: a list of `host:port`, IPv6 addresses in brackets.

use std::net::Ipv6Addr;

use crate::limits::BROKERS_MAX;

/// Reads the whole list; on failure, one sentence for each entry that is wrong.
pub(super) fn parse_bootstrap(list: &str) -> Result<Vec<(String, u16)>, Vec<String>> {
    let mut servers = Vec::new();
    let mut problems = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match parse_entry(entry) {
            Ok(server) if servers.contains(&server) => {}
            Ok(server) => servers.push(server),
            Err(why) => problems.push(format!("\"{entry}\" {why}")),
        }
    }
    if servers.is_empty() && problems.is_empty() {
        problems.push("names no server: write host:port, several separated by commas".into());
    }
    if servers.len() > BROKERS_MAX {
        problems.push(format!("names {} servers, at most {BROKERS_MAX}", servers.len()));
    }
    if problems.is_empty() { Ok(servers) } else { Err(problems) }
}

fn parse_entry(entry: &str) -> Result<(String, u16), String> {
    if let Some((scheme, rest)) = entry.split_once("://") {
        return Err(format!("begins with {scheme}://: write {rest} alone"));
    }
    let (host, port) = if let Some(rest) = entry.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("has no closing bracket")?;
        let address = host.split('%').next().unwrap_or(host);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("holds no IPv6 address between its brackets".into());
        }
        (host, port.strip_prefix(':').ok_or("has no port: write [address]:9092")?)
    } else {
        match entry.matches(':').count() {
            0 => return Err("has no port: write host:9092".into()),
            1 => {}
            _ if entry.contains(|letter: char| letter == ';' || letter.is_whitespace()) => {
                return Err("holds several servers: separate them by commas".into());
            }
            _ => return Err("has more than one colon: write IPv6 as [address]:9092".into()),
        }
        entry.split_once(':').ok_or("has no port")?
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() {
        return Err("has no host".into());
    }
    if !entry.starts_with('[') && !host.chars().all(allowed) {
        return Err("has a host name with a character that no host name has".into());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host.into(), port)),
        _ => Err(format!("has the port \"{port}\": it must be a number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let cases: &[(&str, &[(&str, u16)])] = &[
            ("localhost:9092", &[("localhost", 9092)]),
            ("b-1.x:9092,b-2.x:9094", &[("b-1.x", 9092), ("b-2.x", 9094)]),
            (" a:1 , b:2 ,", &[("a", 1), ("b", 2)]),
            ("a:1,a:1", &[("a", 1)]),
            ("[::1]:9092,127.0.0.1:9092", &[("::1", 9092), ("127.0.0.1", 9092)]),
            ("[fe80::1%eth0]:9092", &[("fe80::1%eth0", 9092)]),
            ("kafka_1:9092", &[("kafka_1", 9092)]),
        ];
        for (list, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(h, p)| ((*h).to_string(), *p)).collect();
            assert_eq!(parse_bootstrap(list), Ok(expected), "{list}");
        }
    }

    #[test]
    fn every_problem_is_told() {
        let cases: &[(&str, &[&str])] = &[
            ("", &["names no server"]),
            (" , ", &["names no server"]),
            ("localhost", &["\"localhost\" has no port"]),
            ("a:1,b,c:x", &["\"b\" has no port", "\"c:x\" has the port \"x\""]),
            ("a:0", &["from 1 to 65535"]),
            ("a:70000", &["from 1 to 65535"]),
            (":9092", &["has no host"]),
            ("::1:9092", &["write IPv6 as [address]:9092"]),
            ("[::1]", &["has no port"]),
            ("[::1", &["no closing bracket"]),
            ("[zz]:1", &["no IPv6 address"]),
            ("PLAINTEXT://a:1", &["write a:1 alone"]),
            ("a b:1", &["no host name has"]),
            ("a:1;b:2", &["separate them by commas"]),
            ("a:1 b:2,c:3", &["\"a:1 b:2\" holds several servers"]),
        ];
        for (list, expected) in cases {
            let problems = parse_bootstrap(list).unwrap_err();
            assert_eq!(problems.len(), expected.len(), "{list}: {problems:?}");
            for (problem, part) in problems.iter().zip(*expected) {
                assert!(problem.contains(part), "{list}: {problem}");
            }
        }
    }
}
