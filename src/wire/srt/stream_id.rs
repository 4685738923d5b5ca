//! Stream ids: a plain stream key, or the keyed form of the SRT Access Control Guidelines (`#!::r=KEY,m=publish`).

use super::Reject;

/// Longest stream id that the protocol carries, in bytes.
pub const MAX_STREAM_ID_BYTES: usize = 512;

const KEYED: &str = "#!::";
/// What every standard form begins with; the nested form `#!:{` is not served.
const STANDARD: &str = "#!:";

/// What the caller wants to do (`m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To send a stream here.
    Publish,
    /// To receive one; the default of the keyed form.
    Request,
    /// Both ways.
    Bidirectional,
}

/// A stream id taken apart. `key` is a secret: it must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamId {
    /// The stream key (`r`, or the whole plain stream id).
    pub key: String,
    /// What the caller wants; publishing, where the stream id is plain.
    pub mode: Mode,
    /// Who the caller says it is (`u`).
    pub user: Option<String>,
}

impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamId").field("mode", &self.mode).field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why a stream id names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdError {
    /// The caller gave none.
    #[error("no stream id: set the channel's stream_key as stream id")]
    Absent,
    /// Longer than the protocol allows.
    #[error("stream id of {0} bytes is longer than {MAX_STREAM_ID_BYTES}")]
    Long(usize),
    /// The keyed form is broken: a pair without `=`, a key given twice, a control character.
    #[error("stream id does not follow `#!::key=value,...`: {0}")]
    Malformed(&'static str),
    /// The keyed form has no `r`.
    #[error("stream id names no resource: add r=KEY")]
    NoResource,
    /// `m` is none of publish, request, bidirectional.
    #[error("stream id has an unknown mode: use m=publish")]
    Mode,
    /// `t` is not `stream`.
    #[error("stream id asks for another type than a stream: leave t= out")]
    Type,
}

impl StreamIdError {
    /// What the caller is told.
    pub fn reject(self) -> Reject {
        match self {
            StreamIdError::Mode => Reject::BadMode,
            StreamIdError::Type => Reject::Media,
            _ => Reject::BadRequest,
        }
    }
}

impl StreamId {
    /// Takes a stream id apart. Keys that the guidelines do not name are passed over, as they allow.
    pub fn parse(text: &str) -> Result<StreamId, StreamIdError> {
        if text.is_empty() {
            return Err(StreamIdError::Absent);
        }
        if text.len() > MAX_STREAM_ID_BYTES {
            return Err(StreamIdError::Long(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(StreamIdError::Malformed("it has a control character"));
        }
        match text.strip_prefix(KEYED) {
            Some(pairs) => keyed(pairs),
            None if text.starts_with(STANDARD) => Err(StreamIdError::Malformed("only the flat form is read")),
            None => Ok(StreamId { key: text.to_owned(), mode: Mode::Publish, user: None }),
        }
    }
}

fn keyed(pairs: &str) -> Result<StreamId, StreamIdError> {
    let (mut resource, mut mode, mut user, mut kind) = (None, None, None, None);
    for pair in pairs.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(StreamIdError::Malformed("a part has no ="))?;
        let place = match name {
            "r" => &mut resource,
            "m" => &mut mode,
            "u" => &mut user,
            "t" => &mut kind,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(StreamIdError::Malformed("a key is given twice"));
        }
    }
    if kind.is_some_and(|kind| kind != "stream") {
        return Err(StreamIdError::Type);
    }
    let mode = match mode {
        Some("publish") => Mode::Publish,
        None | Some("request") => Mode::Request,
        Some("bidirectional") => Mode::Bidirectional,
        Some(_) => return Err(StreamIdError::Mode),
    };
    let key = resource.filter(|key| !key.is_empty()).ok_or(StreamIdError::NoResource)?;
    Ok(StreamId { key: key.to_owned(), mode, user: user.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_stream_id_is_the_key_of_a_publisher() {
        let id = StreamId::parse("demo").unwrap();
        assert_eq!((id.key.as_str(), id.mode, id.user), ("demo", Mode::Publish, None));
    }

    #[test]
    fn the_keyed_form_is_read_in_any_order_and_unknown_keys_are_passed_over() {
        let id = StreamId::parse("#!::u=anna,x-cam=3,m=publish,r=demo,h=host,t=stream").unwrap();
        assert_eq!((id.key.as_str(), id.mode, id.user.as_deref()), ("demo", Mode::Publish, Some("anna")));
    }

    #[test]
    fn without_a_mode_the_keyed_form_asks_to_play() {
        assert_eq!(StreamId::parse("#!::r=demo").unwrap().mode, Mode::Request);
    }

    #[test]
    fn broken_stream_ids_are_refused_with_the_right_code() {
        for (text, error, code) in [
            ("", StreamIdError::Absent, 1400),
            ("#!::m=publish", StreamIdError::NoResource, 1400),
            ("#!::r=,m=publish", StreamIdError::NoResource, 1400),
            ("#!::r=a,r=b", StreamIdError::Malformed("a key is given twice"), 1400),
            ("#!::r", StreamIdError::Malformed("a part has no ="), 1400),
            ("#!:{r=a}", StreamIdError::Malformed("only the flat form is read"), 1400),
            ("a\nb", StreamIdError::Malformed("it has a control character"), 1400),
            ("#!::r=a,m=steal", StreamIdError::Mode, 1405),
            ("#!::r=a,m=publish,t=file", StreamIdError::Type, 1415),
        ] {
            let refused = StreamId::parse(text).unwrap_err();
            assert_eq!((refused, refused.reject().code()), (error, code), "{text:?}");
        }
        assert_eq!(StreamId::parse(&"k".repeat(513)), Err(StreamIdError::Long(513)));
    }

    #[test]
    fn a_key_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", StreamId::parse("secret-key").unwrap()).contains("secret-key"));
    }

    proptest! {
        #[test]
        fn whatever_is_read_has_a_key_without_control_characters(text in "(#!::)?[a-z=,{}#!:\u{0}-\u{7f}\u{e9}]{0,40}") {
            if let Ok(id) = StreamId::parse(&text) {
                prop_assert!(!id.key.is_empty() && !id.key.chars().any(char::is_control));
            }
        }
    }
}
