//! The certificates that are shown, by name, and their replacement while connections go on.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{Context, SHA256};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{Pair, PairError, PairFiles, Texts};

/// All certificates of the appliance. The first one is shown to clients that name no host, or one that none is for.
#[derive(Debug, Default)]
pub struct Certificates {
    slots: RwLock<Arc<[Slot]>>,
}

/// One certificate.
#[derive(Debug)]
struct Slot {
    files: PairFiles,
    held: RwLock<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    /// None until its files can be used for the first time.
    pair: Option<Arc<Pair>>,
    /// What the files held when they were last looked at, so that a bad file is reported once.
    seen: Seen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Bytes(Vec<u8>),
    Nothing(Vec<PairError>),
}

/// What came of looking at a certificate's files.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// They hold another certificate, which is shown from the next handshake on.
    Taken(Arc<Pair>),
    /// They have changed, and cannot be used for these reasons; the old certificate goes on.
    Refused(Vec<PairError>),
}

impl Certificates {
    /// Reads all of them; everything that is wrong with their files. Blocks.
    pub fn load(files: &[PairFiles]) -> Result<Arc<Certificates>, Vec<PairError>> {
        Ok(Arc::new(Certificates { slots: RwLock::new(slots(files)?) }))
    }

    /// Reads all of them, and keeps a place for those that cannot be used: they are shown once their files can be. What is wrong with those.
    /// Blocks.
    pub fn load_usable(files: &[PairFiles]) -> (Arc<Certificates>, Vec<PairError>) {
        let mut wrong = Vec::new();
        let slot = |files: &PairFiles| {
            Slot::read(files).unwrap_or_else(|errors| {
                wrong.extend(errors.clone());
                let held = Held { pair: None, seen: Seen::Nothing(errors) };
                Slot { files: files.clone(), held: RwLock::new(held) }
            })
        };
        let slots: Arc<[Slot]> = files.iter().map(slot).collect();
        (Arc::new(Certificates { slots: RwLock::new(slots) }), wrong)
    }

    /// Shows those of `others` from the next handshake on.
    pub fn take_over(&self, others: &Certificates) {
        *self.slots.write().unwrap_or_else(PoisonError::into_inner) = others.slots();
    }

    fn slots(&self) -> Arc<[Slot]> {
        Arc::clone(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files again, at their content and not at their dates, and takes what is new and good. What has changed, by
    /// the name of its file. Blocks.
    pub fn renew(&self) -> Vec<(PathBuf, Renewal)> {
        self.slots().iter().filter_map(|slot| Some((slot.files.chain.clone(), slot.renew()?))).collect()
    }

    /// Every certificate and its file.
    pub fn all(&self) -> Vec<(PathBuf, Arc<Pair>)> {
        self.slots().iter().filter_map(|slot| Some((slot.files.chain.clone(), slot.pair()?))).collect()
    }

    /// The certificates for a host, best first: those of its very name, of a wildcard, and the first of all.
    fn for_host(&self, host: Option<&str>) -> impl Iterator<Item = Arc<Pair>> {
        let pairs: Vec<Arc<Pair>> = self.slots().iter().filter_map(Slot::pair).collect();
        let host = host.map(|host| host.trim_end_matches('.').to_lowercase());
        let exact = pairs.iter().filter(|pair| host.as_ref().is_some_and(|host| pair.names().contains(host)));
        let covering = pairs.iter().filter(|pair| host.as_ref().is_some_and(|host| pair.covers(host)));
        let chosen: Vec<Arc<Pair>> = exact.chain(covering).chain(&pairs).cloned().collect();
        chosen.into_iter()
    }
}

/// Reads all pairs; everything that is wrong with them.
fn slots(files: &[PairFiles]) -> Result<Arc<[Slot]>, Vec<PairError>> {
    let (mut slots, mut wrong) = (Vec::new(), Vec::new());
    for files in files {
        match Slot::read(files) {
            Ok(slot) => slots.push(slot),
            Err(errors) => wrong.extend(errors),
        }
    }
    if wrong.is_empty() { Ok(slots.into()) } else { Err(wrong) }
}

impl ResolvesServerCert for Certificates {
    /// A client may know fewer kinds of keys than there are: where two certificates are for a host, the first that it can verify.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut pairs = self.for_host(hello.server_name());
        pairs.find(|pair| pair.key.key.choose_scheme(hello.signature_schemes()).is_some()).map(|pair| Arc::clone(&pair.key))
    }
}

impl Slot {
    fn read(files: &PairFiles) -> Result<Slot, Vec<PairError>> {
        let texts = Texts::read(files)?;
        let held = Held { pair: Some(Arc::new(Pair::parse(files, &texts)?)), seen: Seen::of(&texts) };
        Ok(Slot { files: files.clone(), held: RwLock::new(held) })
    }

    fn pair(&self) -> Option<Arc<Pair>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).pair.clone()
    }

    fn renew(&self) -> Option<Renewal> {
        let known = self.held.read().unwrap_or_else(PoisonError::into_inner).seen.clone();
        let texts = Texts::read(&self.files);
        let seen = texts.as_ref().map_or_else(|errors| Seen::Nothing(errors.clone()), Seen::of);
        if seen == known {
            return None;
        }
        let renewed = texts.and_then(|texts| Pair::parse(&self.files, &texts));
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.seen = seen;
        match renewed {
            Ok(pair) => {
                let pair = Arc::new(pair);
                held.pair = Some(Arc::clone(&pair));
                Some(Renewal::Taken(pair))
            }
            Err(errors) => Some(Renewal::Refused(errors)),
        }
    }
}

impl Seen {
    /// A digest: a second copy of a private key would be one more to lose.
    fn of(texts: &Texts) -> Seen {
        let mut digest = Context::new(&SHA256);
        digest.update(&(texts.chain.len() as u64).to_be_bytes());
        digest.update(&texts.chain);
        digest.update(&texts.key);
        Seen::Bytes(digest.finish().as_ref().to_vec())
    }
}
