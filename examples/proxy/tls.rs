//! Whom the proxy trusts to be the provider.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::Problem;

/// The built-in authorities, or those in this file only.
pub(crate) fn config(authorities: Option<&Path>) -> Result<ClientConfig, Problem> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| format!("TLS: {error}"))?;
    Ok(match authorities {
        None => builder.with_webpki_roots().with_no_client_auth(),
        Some(path) => builder.with_root_certificates(read(path)?).with_no_client_auth(),
    })
}

fn read(path: &Path) -> Result<RootCertStore, Problem> {
    let problem = |error: &dyn std::fmt::Display| format!("--ca-file {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| problem(&error))? {
        roots.add(certificate.map_err(|error| problem(&error))?).map_err(|error| problem(&error))?;
    }
    if roots.is_empty() { Err(problem(&"there is no certificate in it")) } else { Ok(roots) }
}
