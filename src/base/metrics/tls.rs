//! What TLS listeners tell: until when certificates last.

use prometheus::{GaugeVec, Opts, Registry};

use super::registered;

/// Families of TLS.
#[derive(Debug)]
pub struct TlsMetrics {
    /// When a certificate expires, in seconds since 1970, by its file.
    pub certificate_expiry: GaugeVec,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> TlsMetrics {
        TlsMetrics {
            certificate_expiry: registered(
                registry,
                GaugeVec::new(Opts::new("headend_certificate_expiry_seconds", "When a certificate expires, since 1970."), &["certificate"]),
            ),
        }
    }
}
