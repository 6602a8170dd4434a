//! Who may ask: requests for this host, and pages of this host. And what a browser may do with the
//! answers.

use crate::reply::Fault;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use std::net::{IpAddr, SocketAddr};

/// Everything comes from this server, nothing is inline, nothing is framed; text can never become
/// markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Which hosts a request may name. A page of a foreign name that resolves to this machine (DNS
/// rebinding) names its own.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    address: IpAddr,
}

impl Hosts {
    pub(crate) fn new(names: &[String], address: SocketAddr) -> Self {
        let own = names.iter().map(|n| n.to_ascii_lowercase());
        Self {
            names: own.chain(["localhost".to_owned()]).collect(),
            address: address.ip(),
        }
    }

    /// Checks the host that a request names, and the site that sent it where the browser says so.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Fault> {
        let mut named = headers.get_all(header::HOST).iter();
        let (first, more) = (named.next(), named.next());
        let host = match (first.map(HeaderValue::to_str), more) {
            (Some(Ok(host)), None) => host,
            _ => {
                let message = "a request needs one Host header";
                return Err(Fault::new(StatusCode::BAD_REQUEST, "host", message));
            }
        };
        // A request may name the host in its first line as well.
        for host in [Some(host), uri.authority().map(|a| a.as_str())]
            .into_iter()
            .flatten()
        {
            if !self.knows(host) {
                let message = "this server does not answer for that host; --allow-host adds one";
                return Err(Fault::new(StatusCode::MISDIRECTED_REQUEST, "host", message));
            }
        }
        let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
        // Browsers name the page that asks; other programs do not, and may ask anything.
        let own = text(header::ORIGIN)
            .is_none_or(|o| o.split_once("://").is_some_and(|(_, h)| h == host));
        let site = text(HeaderName::from_static("sec-fetch-site"));
        // A link may lead here from anywhere: the page that holds it sees nothing of the answer.
        let link = *method == Method::GET
            && text(HeaderName::from_static("sec-fetch-mode")) == Some("navigate");
        if own && site.is_none_or(|s| link || matches!(s, "same-origin" | "none")) {
            return Ok(());
        }
        Err(Fault::new(
            StatusCode::FORBIDDEN,
            "origin",
            "requests of other sites' pages are refused",
        ))
    }

    fn knows(&self, host: &str) -> bool {
        let (name, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
            Some((name, rest)) => (
                name,
                rest.strip_prefix(':').or(rest.is_empty().then_some("0")),
            ),
            None => match host.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (host, Some("0")),
            },
        };
        // Any port: a proxy or a forwarded port in front of this server has another.
        if port.is_none_or(|p| p.parse::<u16>().is_err()) {
            return false;
        }
        match name.parse::<IpAddr>() {
            // No name stands behind a number, so it cannot be made to point elsewhere.
            Ok(ip) => {
                ip == self.address
                    || self.address.is_unspecified()
                    || (ip.is_loopback() && self.address.is_loopback())
            }
            Err(_) => self.names.iter().any(|n| n.eq_ignore_ascii_case(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(&["Inspector.example".to_owned()], listen.parse().unwrap())
    }

    #[test]
    fn hosts_are_known_by_name_or_number() {
        let loopback = hosts("127.0.0.1:8080");
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:9",
            "127.0.0.1",
            "[::1]:80",
            "inspector.example:1",
        ] {
            assert!(loopback.knows(own), "{own}");
        }
        for other in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:8080",
            "",
            "localhost:8080:1",
            "localhost:http",
            "[::1",
            "[::1]x",
            "a@localhost",
            "localhost:",
        ] {
            assert!(!loopback.knows(other), "{other}");
        }
        assert!(
            hosts("0.0.0.0:80").knows("10.0.0.1:80") && !hosts("0.0.0.0:80").knows("evil.example")
        );
        assert!(hosts("10.0.0.1:80").knows("10.0.0.1") && !hosts("10.0.0.1:80").knows("127.0.0.1"));
    }

    #[test]
    fn one_host_is_named_and_foreign_pages_are_refused() {
        let hosts = hosts("127.0.0.1:8080");
        let check = |uri: &str, headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            hosts
                .check(&Method::GET, &uri.parse().unwrap(), &map)
                .map_err(|f| f.status.as_u16())
        };
        let host = ("host", "localhost:8080");
        assert_eq!(check("/", &[host]), Ok(()));
        assert_eq!(check("/", &[]), Err(400));
        assert_eq!(check("/", &[host, host]), Err(400));
        assert_eq!(check("/", &[("host", "rebound.example")]), Err(421));
        assert_eq!(check("http://rebound.example/", &[host]), Err(421));
        assert_eq!(
            check("/", &[host, ("origin", "http://localhost:8080")]),
            Ok(())
        );
        assert_eq!(
            check("/", &[host, ("origin", "http://localhost:9090")]),
            Err(403)
        );
        assert_eq!(check("/", &[host, ("origin", "null")]), Err(403));
        assert_eq!(
            check("/", &[host, ("sec-fetch-site", "same-origin")]),
            Ok(())
        );
        assert_eq!(check("/", &[host, ("sec-fetch-site", "none")]), Ok(()));
        let foreign = ("sec-fetch-site", "cross-site");
        assert_eq!(check("/", &[host, foreign]), Err(403));
        assert_eq!(
            check("/", &[host, foreign, ("sec-fetch-mode", "no-cors")]),
            Err(403)
        );
        assert_eq!(
            check("/", &[host, foreign, ("sec-fetch-mode", "navigate")]),
            Ok(())
        );
    }
}
