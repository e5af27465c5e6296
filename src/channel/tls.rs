//! TLS for everything that is sent: one provider, the system's roots, and the operator's own CA file.
//!
//! Neighbours: `email` shakes hands with it after STARTTLS or at once, `webhook` gives it to its HTTP client. A part
//! of its own so that mail and HTTP trust the same roots, and so that no process-wide default has to be set.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// A CA file beyond this is not one (a bundle of all public roots is about 220 KiB).
const MAX_CA_FILE: u64 = 1 << 20;

/// Why TLS cannot be set up; printed with the channel and the key.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{0}")]
    File(std::io::Error),
    #[error("the file is larger than 1 MiB")]
    TooLarge,
    #[error("the file holds no readable PEM certificate")]
    NoCertificate,
    #[error("{0}")]
    Roots(rustls::Error),
}

/// TLS 1.2 or later, the system's roots and those of `ca_file`, host names checked.
pub(super) fn verified(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let extra = ca_file.map_or_else(|| Ok(Vec::new()), read_roots)?;
    let provider = provider();
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(TlsError::Roots)?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config
        .map_err(TlsError::Roots)?
        .dangerous() // the word of rustls for any verifier that is handed in; this one checks everything
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Trusts nobody: for a channel that speaks plain text on the loopback only, where no root need be installed.
pub(super) fn unused() -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(TlsError::Roots)?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = std::fs::File::open(path).map_err(TlsError::File)?;
    if !file.metadata().map_err(TlsError::File)?.is_file() {
        return Err(TlsError::NoCertificate);
    }
    let mut text = Vec::new();
    file.take(MAX_CA_FILE + 1).read_to_end(&mut text).map_err(TlsError::File)?;
    if text.len() as u64 > MAX_CA_FILE {
        return Err(TlsError::TooLarge);
    }
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    roots.ok().filter(|roots| !roots.is_empty()).ok_or(TlsError::NoCertificate)
}
