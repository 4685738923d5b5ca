//! What TLS listeners tell: until when certificates last, how handshakes end.

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use super::registered;

/// Families of TLS.
#[derive(Debug)]
pub struct TlsMetrics {
    /// When a certificate expires, in seconds since 1970, by its file.
    pub certificate_expiry: GaugeVec,
    /// Looks at a certificate's changed files, by file and outcome (`taken`, `refused`).
    pub certificate_renewals: IntCounterVec,
    /// Handshakes, by protocol (`https`, `rtmps`) and outcome.
    pub handshakes: IntCounterVec,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> TlsMetrics {
        let counter = |name: &str, help: &str, labels: &[&str]| registered(registry, IntCounterVec::new(Opts::new(name, help), labels));
        TlsMetrics {
            certificate_expiry: registered(
                registry,
                GaugeVec::new(Opts::new("headend_certificate_expiry_seconds", "When a certificate expires, since 1970."), &["certificate"]),
            ),
            certificate_renewals: counter(
                "headend_certificate_renewals_total",
                "Changed certificate files that were taken or refused.",
                &["certificate", "outcome"],
            ),
            handshakes: counter("headend_tls_handshakes_total", "TLS handshakes by how they ended.", &["protocol", "outcome"]),
        }
    }
}
