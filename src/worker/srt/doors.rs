//! Who may come in, decided from the front's table alone: libsrt's receiving thread must not wait for an answer.

use std::sync::{Arc, Mutex, PoisonError};

use crate::wire::link::gateway::{Doors, Secret, Security};
use crate::wire::srt::{Mode, Reject, StreamId};

/// The table, which the front changes at any time.
#[derive(Debug)]
pub(super) struct SharedDoors(Mutex<Arc<Doors>>);

impl SharedDoors {
    pub(super) fn new(doors: Doors) -> SharedDoors {
        SharedDoors(Mutex::new(Arc::new(doors)))
    }

    /// Decides by these from now on.
    pub(super) fn set(&self, doors: Doors) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(doors);
    }

    /// The table as it is now.
    pub(super) fn now(&self) -> Arc<Doors> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A caller that may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    /// How its stream must be encrypted.
    pub(super) security: Option<Security>,
}

/// What a handshake shows of a caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knock<'a> {
    /// Its stream id, empty where it gives none.
    pub(super) stream_id: &'a str,
    /// The listener's stream for those who give none.
    pub(super) default_stream: Option<&'a Secret>,
    /// It may be another connection of a bonded group that is in already.
    pub(super) may_be_bonded: bool,
}

/// The stream id that counts.
pub(super) fn effective<'a>(stream_id: &'a str, default_stream: Option<&'a Secret>) -> &'a str {
    match default_stream {
        Some(stream) if stream_id.is_empty() => stream.reveal(),
        _ => stream_id,
    }
}

/// Lets a caller in or says what to tell it. Every key is compared, so that the time tells nothing.
pub(super) fn decide(doors: &Doors, knock: Knock<'_>) -> Result<Welcome, Reject> {
    let id = StreamId::parse(effective(knock.stream_id, knock.default_stream)).map_err(|cause| cause.reject())?;
    if id.mode != Mode::Publish {
        return Err(Reject::BadMode);
    }
    let mut found = None;
    for door in &doors.keys {
        if door.key.matches(&id.key) {
            found = Some(door);
        }
    }
    if let Some(door) = found {
        return match door.busy && !knock.may_be_bonded {
            true => Err(Reject::Conflict),
            false => Ok(Welcome { security: door.security.clone() }),
        };
    }
    let wild = doors.prefixes.iter().filter(|door| id.key.starts_with(&door.prefix)).max_by_key(|door| door.prefix.len());
    wild.map(|door| Welcome { security: door.security.clone() }).ok_or(Reject::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::gateway::{KeyDoor, PrefixDoor};

    fn doors() -> Doors {
        let security = Some(Security { passphrase: Secret::new("0123456789"), key_bytes: 32 });
        Doors {
            keys: vec![
                KeyDoor { key: Secret::new("demo"), security: None, busy: false },
                KeyDoor { key: Secret::new("held"), security: None, busy: true },
                KeyDoor { key: Secret::new("sealed"), security: security.clone(), busy: false },
            ],
            prefixes: vec![PrefixDoor { prefix: "cam".into(), security: None }, PrefixDoor { prefix: "cam-vip".into(), security }],
        }
    }

    fn decision(stream_id: &str) -> Result<Option<u8>, i32> {
        let knock = Knock { stream_id, default_stream: None, may_be_bonded: false };
        decide(&doors(), knock).map(|welcome| welcome.security.map(|security| security.key_bytes)).map_err(Reject::code)
    }

    #[test]
    fn each_caller_gets_the_code_that_says_what_is_wrong() {
        assert_eq!(decision("demo"), Ok(None));
        assert_eq!(decision("#!::r=demo,m=publish"), Ok(None));
        assert_eq!(decision("#!::r=demo"), Err(1405));
        assert_eq!(decision("#!::r=demo,m=bidirectional"), Err(1405));
        assert_eq!(decision("demo2"), Err(1404));
        assert_eq!(decision("held"), Err(1409));
        assert_eq!(decision(""), Err(1400));
        assert_eq!(decision("sealed"), Ok(Some(32)));
    }

    #[test]
    fn the_longest_prefix_decides() {
        assert_eq!(decision("cam7"), Ok(None));
        assert_eq!(decision("cam-vip7"), Ok(Some(32)));
    }

    #[test]
    fn a_caller_without_a_stream_id_gets_its_listeners_stream() {
        let stream = Secret::new("demo");
        let knock = |stream_id| Knock { stream_id, default_stream: Some(&stream), may_be_bonded: false };
        assert!(decide(&doors(), knock("")).is_ok());
        assert_eq!(decide(&doors(), knock("other")), Err(Reject::NotFound));
    }

    #[test]
    fn a_busy_channel_stays_open_for_the_second_path_of_its_own_group() {
        let knock = Knock { stream_id: "held", default_stream: None, may_be_bonded: true };
        assert!(decide(&doors(), knock).is_ok());
    }
}
