//! Where a webhook may connect to: judged on the socket address, after names were resolved.
//!
//! Neighbours: `webhook` asks it about literal addresses and gives it to its HTTP client as resolver. A part of its
//! own because a URL is a way into the network it is called from (server-side request forgery): a name may point
//! anywhere, and change between a check and the connection, so the check is the resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::net::Resolver;

/// What kind of place an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Public,
    /// Loopback, private and shared ranges: where the operator says so.
    Private,
    /// Link-local, metadata, multicast, unspecified: never a receiver of alerts.
    Never,
}

/// What a channel may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    Public,
    /// `allow_private = true`.
    PublicAndPrivate,
    /// `allow_private = true` over plain http: nothing readable leaves the house.
    PrivateOnly,
}

/// An address that must not be connected to, found behind a name or written in the URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Forbidden {
    #[error("{0} is a private or loopback address; set allow_private = true if that is meant")]
    Private(IpAddr),
    #[error("{0} is a link-local, metadata or otherwise unreachable address; webhooks never go there")]
    Never(IpAddr),
    #[error("{0} is a public address, and plain http goes to private ones only; use https")]
    Plain(IpAddr),
}

impl Reach {
    pub(super) fn check(self, address: IpAddr) -> Result<(), Forbidden> {
        match (place(address), self) {
            (Place::Never, _) => Err(Forbidden::Never(address)),
            (Place::Private, Self::Public) => Err(Forbidden::Private(address)),
            (Place::Public, Self::PrivateOnly) => Err(Forbidden::Plain(address)),
            (Place::Private, Self::PublicAndPrivate | Self::PrivateOnly)
            | (Place::Public, Self::Public | Self::PublicAndPrivate) => Ok(()),
        }
    }
}

/// Names by the system's resolver, as far as a channel may reach.
pub(super) struct Guarded {
    pub(super) reach: Reach,
    pub(super) resolver: Resolver,
}

impl Resolve for Guarded {
    /// Addresses out of reach are taken out, and refused if none is left.
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, resolver) = (self.reach, self.resolver.clone());
        Box::pin(async move {
            let found = resolver.lookup(name.as_str(), 0).await?;
            let (mut allowed, mut refused) = (Vec::<SocketAddr>::new(), None);
            for address in found {
                match reach.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(why) => refused = Some(why),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The ranges of the special-purpose address registries (RFC 6890) and of clouds' metadata services.
pub(super) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(v4) => place_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| place_v6(v6), place_v4),
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        // 100.100.100.200 and 192.0.0.192 are metadata services, 168.63.129.16 is a cloud's wire server.
        (0 | 224..=255, ..) | (169, 254, ..) => Place::Never,
        (100, 100, 100, 200) | (192, 0, 0, 192) | (168, 63, 129, 16) => Place::Never,
        (127 | 10, ..) | (172, 16..=31, ..) | (192, 168, ..) => Place::Private,
        // Carrier-grade NAT, protocol assignments, benchmarking, documentation: never on the public net.
        (100, 64..=127, ..) | (192, 0, 0 | 2, _) | (198, 18 | 19, ..) => Place::Private,
        (198, 51, 100, _) | (203, 0, 113, _) => Place::Private,
        _ => Place::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    let s = address.segments();
    if address.is_loopback() {
        Place::Private
    } else if address.is_unspecified() || s[0] & 0xff00 == 0xff00 || s[0] & 0xffc0 == 0xfe80 {
        Place::Never
    } else if s[..7] == [0xfd00, 0xec2, 0, 0, 0, 0, 0] {
        // fd00:ec2::254 and its neighbours: a cloud's metadata, time and name servers.
        Place::Never
    } else if s[0] & 0xfe00 == 0xfc00 || s[0] & 0xffc0 == 0xfec0 {
        Place::Private
    } else if s[..3] == [0x64, 0xff9b, 1] || s[..2] == [0x2001, 0xdb8] {
        // NAT64 inside one network (RFC 8215), documentation.
        Place::Private
    } else {
        Place::Public
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let join = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    match s {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expect: Place, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(place(address.parse().unwrap()), expect, "{address}");
        }
    }

    #[test]
    fn every_range_is_in_its_place() {
        check(
            Place::Public,
            &["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00::1"],
        );
        check(Place::Private, &["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255"]);
        check(
            Place::Private,
            &["192.168.1.1", "100.64.0.1", "100.100.100.201", "198.18.0.1", "::1", "fd12::1"],
        );
        check(Place::Private, &["::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::"]);
        check(
            Place::Never,
            &["169.254.169.254", "100.100.100.200", "0.0.0.0", "255.255.255.255", "224.0.0.1"],
        );
        check(Place::Never, &["fe80::1", "febf::1", "fd00:ec2::254", "::", "ff02::1", "192.0.0.192"]);
        check(
            Place::Never,
            &["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe"],
        );
    }

    #[test]
    fn reach_widens_with_the_setting_but_never_to_metadata() {
        let [public, private, never] =
            ["8.8.8.8", "127.0.0.1", "169.254.169.254"].map(|a| a.parse::<IpAddr>().unwrap());
        assert_eq!(Reach::Public.check(private), Err(Forbidden::Private(private)));
        assert_eq!(Reach::PublicAndPrivate.check(private), Ok(()));
        assert_eq!(Reach::PublicAndPrivate.check(public), Ok(()));
        assert_eq!(Reach::PrivateOnly.check(public), Err(Forbidden::Plain(public)));
        for reach in [Reach::Public, Reach::PublicAndPrivate, Reach::PrivateOnly] {
            assert_eq!(reach.check(never), Err(Forbidden::Never(never)));
        }
    }
}
