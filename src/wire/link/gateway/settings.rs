//! Secrets, encryption and socket options, as the front sends them to the gateway.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// A passphrase, a stream key or a stream id: compared in constant time, never printed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is this text, in time that depends on the lengths only.
    pub fn matches(&self, offered: &str) -> bool {
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// How a stream is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// 10 to 79 bytes.
    pub passphrase: Secret,
    /// Length of the AES key in bytes: 16, 24 or 32. A caller that sends with a shorter key is refused.
    pub key_bytes: u8,
}

/// A passphrase or key length that SRT does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// Too short or too long.
    #[error("an SRT passphrase has 10 to 79 bytes, this one has {0}")]
    Passphrase(usize),
    /// No AES key length.
    #[error("an SRT key has 16, 24 or 32 bytes, not {0}")]
    KeyBytes(u8),
}

impl Security {
    /// A passphrase of 10 to 79 bytes and a key length of 16, 24 or 32 bytes (SRT draft, section 6).
    pub fn new(passphrase: impl Into<String>, key_bytes: u8) -> Result<Security, SecurityError> {
        let passphrase = passphrase.into();
        if !(10..=79).contains(&passphrase.len()) {
            return Err(SecurityError::Passphrase(passphrase.len()));
        }
        if ![16, 24, 32].contains(&key_bytes) {
            return Err(SecurityError::KeyBytes(key_bytes));
        }
        Ok(Security { passphrase: Secret::new(passphrase), key_bytes })
    }
}

/// Socket options of a listener's callers or of one outgoing call (libsrt's `SRTO_*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Least delay between sending and delivery here, in ms; the larger of both ends' wishes holds.
    pub latency_ms: u32,
    /// Least delay that the other end is asked to keep when it receives, in ms.
    pub peer_latency_ms: u32,
    /// What arrives at most, in bit/s; with the latency it sizes the receive buffer.
    pub receive_rate_bps: u64,
    /// Most that is sent, retransmissions included, in bit/s; 0: by `input_rate_bps` and `overhead_percent`, or without a limit.
    pub max_bandwidth_bps: u64,
    /// Rate of what is sent, in bit/s; 0: not known.
    pub input_rate_bps: u64,
    /// What retransmissions may add to the rate, 5 to 100.
    pub overhead_percent: u8,
    /// Packet filter, e.g. `fec,cols:10,rows:5`; empty: what the caller brings.
    pub packet_filter: String,
    /// Oldest version of the other end, as 0xMMmmpp; 0: any.
    pub minimum_version: u32,
    /// Ends that do not agree on encryption are refused. Switched off, undecryptable data is dropped and counted.
    pub enforced_encryption: bool,
    /// After this silence, in which not even keep-alives come, the connection is lost, in ms.
    pub idle_timeout_ms: u32,
    /// Largest payload of a packet in bytes, at most 1456; 1316 are seven transport packets.
    pub payload_bytes: u16,
    /// Packets that come too late are given up; else delivery waits for them.
    pub too_late_drop: bool,
    /// A sender here changes its key after so many packets; 0: libsrt's default (2^24).
    pub key_refresh_packets: u32,
    /// It announces the next key so many packets before; 0: libsrt's default (2^12).
    pub key_preannounce_packets: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            latency_ms: 120,
            peer_latency_ms: 0,
            receive_rate_bps: 60_000_000,
            max_bandwidth_bps: 0,
            input_rate_bps: 0,
            overhead_percent: 25,
            packet_filter: String::new(),
            minimum_version: 0,
            enforced_encryption: true,
            idle_timeout_ms: 15_000,
            payload_bytes: 1316,
            too_late_drop: true,
            key_refresh_packets: 0,
            key_preannounce_packets: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passphrases_and_keys_that_srt_knows_are_taken() {
        assert!(Security::new("0123456789", 16).is_ok() && Security::new("x".repeat(79), 32).is_ok());
        assert_eq!(Security::new("012345678", 16), Err(SecurityError::Passphrase(9)));
        assert_eq!(Security::new("x".repeat(80), 16), Err(SecurityError::Passphrase(80)));
        assert_eq!(Security::new("0123456789", 20), Err(SecurityError::KeyBytes(20)));
    }

    #[test]
    fn a_secret_matches_itself_alone() {
        let secret = Secret::new("demo");
        assert!(secret.matches("demo") && !secret.matches("demo2") && !secret.matches("dem") && !secret.matches(""));
    }
}
