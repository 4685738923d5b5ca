//! One certificate with its chain and its key, read from PEM files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys};

use super::facts::{Facts, covers};
use crate::base::{Fault, WallTime};

/// Largest file in bytes: a chain of ten certificates is some twenty thousand.
const LARGEST_FILE: u64 = 1 << 20;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the certificate itself, then those that lead to a root.
    pub chain: PathBuf,
    /// PEM: its private key (PKCS#8, PKCS#1 or SEC1), not encrypted.
    pub key: PathBuf,
}

/// A certificate that can be shown, with its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    facts: Facts,
}

/// Why two files are no certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The system does not give the file out.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: String,
        /// It is the key's file.
        is_key: bool,
    },
    /// There is no certificate in the file, or a broken one.
    #[error("{} holds no certificate that can be used ({cause})", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no key in the file, or one that cannot be used.
    #[error("{} holds no key that can be used ({cause})", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The key is that of another certificate.
    #[error("the key in {} is not that of the first certificate in {}", key.display(), chain.display())]
    Mismatch {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl PairError {
    /// The class: always [`Fault::Config`].
    pub fn fault(&self) -> Fault {
        Fault::Config
    }

    /// Whether it is the key's file that has to be looked at.
    pub fn is_of_key(&self) -> bool {
        matches!(self, PairError::Unreadable { is_key: true, .. } | PairError::Key { .. } | PairError::Mismatch { .. })
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            PairError::Unreadable { .. } => "check its name and that headend's user may read it",
            PairError::Chain { .. } => "give a PEM file with the certificate first and those of its issuers after it (fullchain.pem)",
            PairError::Key { cause, .. } if cause == ENCRYPTED => "write one without a passphrase: openssl pkey -in OLD -out NEW",
            PairError::Key { .. } => "give the PEM file of an RSA, ECDSA or Ed25519 key (privkey.pem)",
            PairError::Mismatch { .. } => {
                "give the key that the certificate was made for; compare openssl x509 -pubkey with openssl pkey -pubout"
            }
        }
    }
}

const ENCRYPTED: &str = "it is encrypted";

/// The bytes of both files.
pub(super) struct Texts {
    pub(super) chain: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Texts {
    /// Reads both files; everything that is wrong with them. Blocks.
    pub(super) fn read(files: &PairFiles) -> Result<Texts, Vec<PairError>> {
        let read = |path: &Path, is_key| {
            read(path).map_err(|cause| PairError::Unreadable { path: path.to_owned(), cause: cause.to_string(), is_key })
        };
        match (read(&files.chain, false), read(&files.key, true)) {
            (Ok(chain), Ok(key)) => Ok(Texts { chain, key }),
            (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
        }
    }
}

/// A pipe would be waited for, and a disk image would fill the memory.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file, or larger than 1 MiB"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST_FILE).read_to_end(&mut text)?;
    Ok(text)
}

impl Pair {
    /// Reads a certificate with its key; everything that is wrong with the files. Blocks.
    pub fn load(files: &PairFiles) -> Result<Pair, Vec<PairError>> {
        Pair::parse(files, &Texts::read(files)?)
    }

    pub(super) fn parse(files: &PairFiles, texts: &Texts) -> Result<Pair, Vec<PairError>> {
        let provider = rustls::crypto::ring::default_provider();
        let (chain, key) = match (chain(files, &texts.chain), key(files, &texts.key, &provider)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        let spoiled = |cause: String| vec![PairError::Chain { path: files.chain.clone(), cause }];
        let facts = chain.first().and_then(|der| Facts::of(der)).ok_or_else(|| spoiled("it is not X.509".to_owned()))?;
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(key) => Ok(Pair { key: Arc::new(key), facts }),
            Err(RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(vec![PairError::Mismatch { chain: files.chain.clone(), key: files.key.clone() }])
            }
            Err(cause) => Err(spoiled(cause.to_string())),
        }
    }

    /// Hosts that it is for, in lower case: DNS names, `*.` in front of wildcards, and addresses.
    pub fn names(&self) -> &[String] {
        &self.facts.names
    }

    /// Whether it is for this host: a DNS name or an address.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_lowercase();
        self.facts.names.iter().any(|name| covers(name, &host))
    }

    /// From when on it is valid.
    pub fn not_before(&self) -> WallTime {
        self.facts.not_before
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> WallTime {
        self.facts.not_after
    }
}

fn chain(files: &PairFiles, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let spoiled = |cause: String| PairError::Chain { path: files.chain.clone(), cause };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(spoiled("it has no BEGIN CERTIFICATE".to_owned())),
        Ok(chain) => Ok(chain),
        Err(cause) => Err(spoiled(cause.to_string())),
    }
}

/// Says what is wrong without a word of what the file holds.
fn key(files: &PairFiles, text: &[u8], provider: &CryptoProvider) -> Result<PrivateKeyDer<'static>, PairError> {
    let spoiled = |cause: &str| PairError::Key { path: files.key.clone(), cause: cause.to_owned() };
    let marker = b"ENCRYPTED";
    if text.windows(marker.len()).any(|window| window == marker) {
        return Err(spoiled(ENCRYPTED));
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Err(_) => Err(spoiled("it has no BEGIN PRIVATE KEY, or a broken one")),
        Ok(key) => match provider.key_provider.load_private_key(key.clone_key()) {
            Ok(_) => Ok(key),
            Err(_) => Err(spoiled("it is neither RSA of 2048 bits or more, nor ECDSA on P-256 or P-384, nor Ed25519")),
        },
    }
}
