//! A certificate authority of the tests' own, and certificates that are wrong in one way each.
//! Neighbours: `smtp` has the good certificate, `hostile` serves these. A part of its own because every client must
//! refuse each of them, and for its own reason.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Authorities of one name would be taken for each other.
static NEXT: AtomicU32 = AtomicU32::new(1);

pub(crate) struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says.
pub(crate) struct Says {
    pub(crate) host: &'static str,
    /// Valid from the first to the second year.
    pub(crate) years: (i32, i32),
}

pub(crate) const GOOD: Says = Says { host: "127.0.0.1", years: (2020, 2090) };

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let root = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// The file that makes it trusted.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A server with a certificate by this authority.
    pub(crate) fn server(&self, says: &Says) -> Arc<ServerConfig> {
        let (params, key) = leaf(says);
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        server(signed.der().clone(), PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
    }
}

/// A server whose certificate nobody signed but itself.
pub(crate) fn self_signed() -> Arc<ServerConfig> {
    let (params, key) = leaf(&GOOD);
    let signed = params.self_signed(&key).unwrap();
    server(signed.der().clone(), PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
}

/// A server whose certificate is signed with an RSA key of 1024 bits, and the file that makes that key trusted.
pub(crate) fn weak() -> (Arc<ServerConfig>, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/weak");
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    (server(certificate, key), folder.join("ca.pem"))
}

fn leaf(says: &Says) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![says.host.to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (date_time_ymd(says.years.0, 1, 1), date_time_ymd(says.years.1, 1, 1));
    (params, KeyPair::generate().unwrap())
}

fn server(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}
