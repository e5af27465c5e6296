//! Where requests go: the vendor's regions and their hosts, or an address of one's own.
//!
//! Neighbours: a source's settings name region and endpoint, the client signs the host. A part of its own because
//! a mistyped region must be named as such, not fail as an unknown host at night.

use url::{Host, Url};

/// A region that the vendor offers the product in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    pub id: &'static str,
    pub place: &'static str,
    /// Something to warn of.
    pub note: Option<&'static str>,
}

const fn region(id: &'static str, place: &'static str) -> Region {
    Region { id, place, note: None }
}

/// All regions of the product (SDK, metadata and help page agree); each one's host is `smartag.<id>.aliyuncs.com`.
pub const REGIONS: [Region; 10] = [
    region("cn-shanghai", "Shanghai"),
    region("cn-hangzhou", "Hangzhou"),
    region("cn-hongkong", "Hong Kong"),
    region("ap-southeast-1", "Singapore"),
    Region { id: "ap-southeast-2", place: "Sydney", note: Some("the vendor marks this region as closed") },
    region("ap-southeast-3", "Kuala Lumpur"),
    region("ap-southeast-5", "Jakarta"),
    region("ap-northeast-1", "Tokyo"),
    region("eu-central-1", "Frankfurt"),
    region("cn-shanghai-finance-1", "Shanghai, finance cloud"),
];

/// Why an endpoint cannot be used, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EndpointError {
    pub message: String,
    pub hint: String,
}

fn error<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, EndpointError> {
    Err(EndpointError { message: message.into(), hint: hint.into() })
}

/// A region by its id.
pub fn known(id: &str) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.id == id)
}

/// Whether what is sent to this host stays on this machine.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Scheme, host and port that requests go to; the path is always `/`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    scheme: String,
    authority: String,
}

impl Endpoint {
    /// The vendor's host for a region. An unknown region is an error that names the nearest known one.
    pub fn of_region(id: &str) -> Result<Self, EndpointError> {
        if known(id).is_some() {
            return Ok(Self { scheme: "https".into(), authority: format!("smartag.{id}.aliyuncs.com") });
        }
        let nearest = REGIONS
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a.id, id).total_cmp(&strsim::jaro_winkler(b.id, id)));
        let nearest = nearest.map_or("cn-shanghai", |region| region.id);
        error(
            format!("unknown region {id:?}"),
            format!("did you mean {nearest:?}? For a region that is new, give `endpoint` as well"),
        )
    }

    /// An address of one's own: `https://host[:port]`, or `http://` to a loopback address.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let example = "write it as https://smartag.cn-shanghai.aliyuncs.com";
        let Ok(url) = Url::parse(text) else {
            return error("not a URL", example);
        };
        let Some(host) = url.host() else {
            return error("the URL has no host", example);
        };
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => return error("http is allowed to a loopback address only", "use https"),
            _ => return error("neither https nor http", example),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return error("the URL holds a login", "keys belong in [[account]], as references");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return error("the URL goes on after the host", example);
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self { scheme: url.scheme().to_owned(), authority: format!("{host}{port}") })
    }

    /// Host and port as the `Host` header has them: the port only where it is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `scheme://host[:port]`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_host_and_a_typo_its_nearest() {
        for region in REGIONS {
            let url = Endpoint::of_region(region.id).unwrap().url();
            assert_eq!(url, format!("https://smartag.{}.aliyuncs.com", region.id));
        }
        let wrong = Endpoint::of_region("cn-shanhgai").unwrap_err();
        assert_eq!(wrong.message, "unknown region \"cn-shanhgai\"");
        assert!(wrong.hint.contains("\"cn-shanghai\""), "{}", wrong.hint);
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let found = Endpoint::parse(text);
        assert_eq!(
            found.as_ref().map(Endpoint::url).map_err(|e| e.message.as_str()),
            expect.map(String::from)
        );
    }

    #[test]
    fn an_own_endpoint_is_https_or_loopback() {
        check("https://sag.example.com", Ok("https://sag.example.com"));
        check("https://sag.example.com:443/", Ok("https://sag.example.com"));
        check("https://sag.example.com:8443", Ok("https://sag.example.com:8443"));
        check("http://127.0.0.1:18080", Ok("http://127.0.0.1:18080"));
        check("http://[::1]:18080", Ok("http://[::1]:18080"));
        check("http://localhost:1", Ok("http://localhost:1"));
        check("http://sag.example.com", Err("http is allowed to a loopback address only"));
        check("http://127.0.0.1.example.com", Err("http is allowed to a loopback address only"));
        check("ftp://127.0.0.1", Err("neither https nor http"));
        check("smartag.cn-shanghai.aliyuncs.com", Err("not a URL"));
        check("https://key:secret@sag.example.com", Err("the URL holds a login"));
        check("https://sag.example.com/api", Err("the URL goes on after the host"));
        check("https://sag.example.com/?a=b", Err("the URL goes on after the host"));
    }
}
