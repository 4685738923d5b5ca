use bytes::BufMut;
use proptest::prelude::*;

use super::messages::SET_DATA_FRAME;
use super::*;
use crate::wire::rtmp::amf0::{self, Value, encode, object};

/// A client as a script: writes messages, reads the session's replies.
struct Client {
    session: Session,
    writer: Writer,
    reader: Reader,
}

fn handshake_bytes() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    bytes
}

impl Client {
    fn handshaken() -> Client {
        let mut session = Session::new(Limits::default());
        assert_eq!(session.receive(&mut &handshake_bytes()[..]), Ok(None));
        assert_eq!(session.take_output().len(), 1 + 2 * 1536);
        let mut reader = Reader::new(Limits::default());
        reader.widen();
        Client { session, writer: Writer::default(), reader }
    }

    fn connected() -> Client {
        let mut client = Client::handshaken();
        let event = client.command(0, &["connect".into(), 1.0.into(), object([("app", "live".into())])]).unwrap();
        assert!(matches!(event, Some(Event::ConnectRequested { application, .. }) if application == "live"));
        client.session.accept_connect();
        client.replies();
        client
    }

    fn publishing() -> Client {
        let mut client = Client::connected();
        client.command(0, &["createStream".into(), 4.0.into(), Value::Null]).unwrap();
        client.command(1, &["publish".into(), 5.0.into(), Value::Null, "key?token=1".into(), "live".into()]).unwrap();
        client.session.accept_publish();
        client.replies();
        client
    }

    fn send(&mut self, kind: u8, stream_id: u32, timestamp_ms: u32, payload: &[u8]) -> Result<Option<Event>, Error> {
        let mut bytes = BytesMut::new();
        let payload = Bytes::copy_from_slice(payload);
        self.writer.write(&Message { chunk_stream: 3, kind, stream_id, timestamp_ms, payload }, &mut bytes);
        self.session.receive(&mut &bytes[..])
    }

    fn command(&mut self, stream_id: u32, values: &[Value]) -> Result<Option<Event>, Error> {
        self.send(kind::COMMAND_AMF0, stream_id, 0, &encoded(values))
    }

    fn replies(&mut self) -> Vec<Message> {
        let output = self.session.take_output();
        let mut input = &output[..];
        let mut replies = Vec::new();
        while let Some(reply) = self.reader.receive(&mut input).unwrap() {
            replies.push(reply);
        }
        replies
    }

    /// Name and status code of every command that came back.
    fn codes(&mut self) -> Vec<(String, String)> {
        let replies = self.replies();
        let commands = replies.iter().filter(|reply| reply.kind == kind::COMMAND_AMF0).map(|reply| decoded(&reply.payload));
        commands
            .map(|values| {
                let code = values.last().and_then(|information| information.member("code")).and_then(Value::as_str);
                (values[0].as_str().unwrap().to_owned(), code.unwrap_or_default().to_owned())
            })
            .collect()
    }
}

fn encoded(values: &[Value]) -> Bytes {
    let mut bytes = BytesMut::new();
    values.iter().for_each(|value| encode(value, &mut bytes));
    bytes.freeze()
}

fn decoded(bytes: &[u8]) -> Vec<Value> {
    amf0::decode(bytes, &amf0::Limits::default()).unwrap()
}

#[test]
fn a_publisher_gets_in_step_by_step() {
    let mut client = Client::connected();
    client.command(0, &["releaseStream".into(), 2.0.into(), Value::Null, "key".into()]).unwrap();
    client.command(0, &["FCPublish".into(), 3.0.into(), Value::Null, "key".into()]).unwrap();
    client.command(0, &["createStream".into(), 4.0.into(), Value::Null]).unwrap();
    let replies = client.replies();
    assert_eq!(decoded(&replies[2].payload), ["_result".into(), 4.0.into(), Value::Null, 1.0.into()]);
    let event = client.command(1, &["publish".into(), 5.0.into(), Value::Null, "key?token=1".into(), "live".into()]).unwrap();
    assert_eq!(event, Some(Event::PublishRequested { application: "live".into(), stream: "key".into() }));
    client.session.accept_publish();
    assert_eq!(client.codes(), [("onStatus".to_owned(), "NetStream.Publish.Start".to_owned())]);
    assert_eq!(client.session.stage(), Stage::Publishing);
    let event = client.send(kind::VIDEO, 1, 77, b"picture").unwrap();
    assert_eq!(event, Some(Event::Media { kind: MediaKind::Video, timestamp_ms: 77, payload: Bytes::from_static(b"picture") }));
}

#[test]
fn connect_is_answered_with_windows_and_for_enhanced_peers_with_codecs() {
    for (extra, enhanced) in [("tcUrl", false), ("fourCcList", true), ("videoFourCcInfoMap", true), ("capsEx", true)] {
        let mut client = Client::handshaken();
        let properties = object([("app", "live".into()), ("objectEncoding", 3.0.into()), (extra, 1.0.into())]);
        client.command(0, &["connect".into(), 1.0.into(), properties]).unwrap();
        client.session.accept_connect();
        let replies = client.replies();
        let kinds: Vec<u8> = replies.iter().map(|reply| reply.kind).collect();
        assert_eq!(kinds, [kind::WINDOW_ACKNOWLEDGEMENT_SIZE, kind::SET_PEER_BANDWIDTH, kind::COMMAND_AMF0]);
        let values = decoded(&replies[2].payload);
        let information = &values[3];
        assert_eq!(information.member("objectEncoding"), Some(&Value::Number(3.0)));
        assert_eq!(information.member("fourCcList").is_some(), enhanced, "{extra}");
        assert_eq!(information.member("capsEx").and_then(Value::as_number), enhanced.then_some(13.0));
        let hevc = information.member("videoFourCcInfoMap").and_then(|map| map.member("hvc1"));
        assert_eq!(hevc.and_then(Value::as_number), enhanced.then_some(1.0));
    }
}

#[test]
fn a_wrong_application_is_rejected_with_an_error() {
    let mut client = Client::handshaken();
    client.command(0, &["connect".into(), 1.0.into(), object([("app", "vod".into())])]).unwrap();
    client.session.refuse_connect("no such application");
    assert_eq!(client.codes(), [("_error".to_owned(), "NetConnection.Connect.Rejected".to_owned())]);
    assert_eq!(client.command(0, &["connect".into()]), Err(Error::Closed));
}

#[test]
fn a_wrong_key_is_told_by_status_and_nothing_more_is_read() {
    let mut client = Client::connected();
    client.command(0, &["createStream".into(), 4.0.into(), Value::Null]).unwrap();
    client.command(1, &["publish".into(), 5.0.into(), Value::Null, "wrong".into()]).unwrap();
    client.session.refuse_publish("NetStream.Publish.BadName", "unknown stream key");
    let codes = client.codes();
    assert_eq!(codes[1], ("onStatus".to_owned(), "NetStream.Publish.BadName".to_owned()));
    assert_eq!(client.send(kind::VIDEO, 1, 0, b"x"), Err(Error::Closed));
}

#[test]
fn publish_before_connect_is_refused() {
    let refusal = Client::handshaken().command(1, &["publish".into(), 5.0.into(), Value::Null, "key".into()]).unwrap_err();
    assert_eq!(refusal, Error::Order { what: "publish", stage: Stage::Handshaken });
    assert_eq!(refusal.to_string(), "publish is out of order: the connection is not connected to an application");
}

#[test]
fn media_before_publish_is_refused() {
    let mut client = Client::connected();
    client.command(0, &["createStream".into(), 4.0.into(), Value::Null]).unwrap();
    assert_eq!(client.send(kind::AUDIO, 1, 0, b"x"), Err(Error::Order { what: "audio", stage: Stage::Connected }));
}

#[test]
fn publish_and_media_on_streams_that_were_not_created_are_refused() {
    let refusal = Client::connected().command(1, &["publish".into(), 5.0.into(), Value::Null, "key".into()]);
    assert_eq!(refusal, Err(Error::MessageStream { what: "publish", stream_id: 1 }));
    assert_eq!(Client::publishing().send(kind::AUDIO, 2, 0, b"x"), Err(Error::MessageStream { what: "audio", stream_id: 2 }));
}

#[test]
fn play_is_refused_with_a_status() {
    let mut client = Client::connected();
    assert_eq!(client.command(1, &["play".into(), 5.0.into(), Value::Null, "key".into()]), Err(Error::Play));
    assert_eq!(client.codes(), [("onStatus".to_owned(), "NetStream.Play.Failed".to_owned())]);
}

#[test]
fn commands_in_amf3_wrapping_are_understood() {
    let mut client = Client::connected();
    let command = [&[0], &encoded(&["createStream".into(), 4.0.into(), Value::Null])[..]].concat();
    client.send(kind::COMMAND_AMF3, 0, 0, &command).unwrap();
    assert_eq!(decoded(&client.replies()[0].payload)[3], Value::Number(1.0));
    let refusal = client.send(kind::COMMAND_AMF3, 0, 0, &[1, 2, 3]);
    assert_eq!(refusal, Err(Error::Amf(amf0::AmfError::Type { version: 3, marker: 1 })));
}

#[test]
fn deeply_nested_commands_before_connect_are_refused() {
    let nested = [&encoded(&["connect".into(), 1.0.into()])[..], &[3, 0, 1, b'a'].repeat(12_000)].concat();
    assert_eq!(Client::handshaken().send(kind::COMMAND_AMF0, 0, 0, &nested), Err(Error::Amf(amf0::AmfError::TooDeep(16))));
}

#[test]
fn a_full_window_is_acknowledged_with_the_bytes_received_and_the_number_wraps() {
    let mut client = Client::publishing();
    client.send(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, 0, 0, &1000u32.to_be_bytes()).unwrap();
    client.replies();
    client.session.received_bytes = u32::MAX - 10;
    client.session.acknowledged_bytes = u32::MAX - 10;
    client.send(kind::AUDIO, 1, 0, &[0; 900]).unwrap();
    assert_eq!(client.replies(), []);
    client.send(kind::AUDIO, 1, 0, &[0; 100]).unwrap();
    let replies = client.replies();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].kind, kind::ACKNOWLEDGEMENT);
    let sent = (12 + 900 + 7) + (12 + 100);
    assert_eq!(replies[0].payload, Bytes::copy_from_slice(&(sent as u32 - 11).to_be_bytes()));
}

#[test]
fn an_accepted_publisher_may_send_large_pictures() {
    let event = Client::publishing().send(kind::VIDEO, 1, 0, &vec![7; 5 << 20]).unwrap();
    assert!(matches!(event, Some(Event::Media { payload, .. }) if payload.len() == 5 << 20));
}

#[test]
fn a_ping_is_answered_with_its_own_time() {
    let mut client = Client::connected();
    client.send(kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]).unwrap();
    assert_eq!(client.replies()[0].payload, Bytes::from_static(&[0, 7, 1, 2, 3, 4]));
    assert_eq!(client.send(kind::USER_CONTROL, 0, 0, &[0, 6, 1]), Err(Error::Control { kind: 4, length: 3 }));
}

#[test]
fn metadata_comes_out_without_its_storage_command() {
    let mut client = Client::publishing();
    let metadata = encoded(&["onMetaData".into(), object([("width", 1280.0.into())])]);
    let stored = [SET_DATA_FRAME, &metadata].concat();
    let expected = Some(Event::Media { kind: MediaKind::Data, timestamp_ms: 0, payload: metadata });
    assert_eq!(client.send(kind::DATA_AMF0, 1, 0, &stored).unwrap(), expected);
    assert_eq!(client.send(kind::DATA_AMF3, 1, 0, &[&[0], &stored[..]].concat()).unwrap(), expected);
}

#[test]
fn an_aggregate_is_taken_apart_with_its_times_shifted() {
    let mut client = Client::publishing();
    let mut aggregate = BytesMut::new();
    for (kind, time, data) in [(kind::AUDIO, 500u32, &b"a"[..]), (kind::VIDEO, 520, b"vv"), (99, 530, b"?"), (kind::AUDIO, 540, b"b")] {
        aggregate.put_u8(kind);
        aggregate.put_uint(data.len() as u64, 3);
        aggregate.put_uint(u64::from(time), 3);
        aggregate.put_slice(&[0; 4]);
        aggregate.put_slice(data);
        aggregate.put_u32(0);
    }
    let mut bytes = BytesMut::new();
    client.writer.write(
        &Message { chunk_stream: 3, kind: kind::AGGREGATE, stream_id: 1, timestamp_ms: 9000, payload: aggregate.freeze() },
        &mut bytes,
    );
    let mut input = &bytes[..];
    let mut times = Vec::new();
    while let Some(Event::Media { timestamp_ms, .. }) = client.session.receive(&mut input).unwrap() {
        times.push(timestamp_ms);
    }
    assert_eq!(times, [9000, 9020, 9040]);
}

#[test]
fn a_publisher_may_stop_and_publish_again() {
    for stop in ["deleteStream", "FCUnpublish", "closeStream"] {
        let mut client = Client::publishing();
        let event = client.command(1, &[stop.into(), 6.0.into(), Value::Null, 1.0.into()]).unwrap();
        assert_eq!(event, Some(Event::PublishEnded), "{stop}");
        assert_eq!(client.send(kind::AUDIO, 1, 0, b"late").unwrap(), None);
        client.command(0, &["createStream".into(), 7.0.into(), Value::Null]).unwrap();
        let event = client.command(2, &["publish".into(), 8.0.into(), Value::Null, "key".into()]).unwrap();
        assert!(matches!(event, Some(Event::PublishRequested { .. })));
    }
}

/// A publisher whose `connect` carries these extended capabilities.
fn publishing_with(capabilities: Value) -> Client {
    let mut client = Client::handshaken();
    let properties = object([("app", "live".into()), ("capsEx", capabilities)]);
    client.command(0, &["connect".into(), 1.0.into(), properties]).unwrap();
    client.session.accept_connect();
    client.command(0, &["createStream".into(), 4.0.into(), Value::Null]).unwrap();
    client.command(1, &["publish".into(), 5.0.into(), Value::Null, "key".into(), "live".into()]).unwrap();
    client.session.accept_publish();
    client.replies();
    client
}

#[test]
fn a_publisher_that_can_reconnect_is_asked_once_and_served_on() {
    let mut client = publishing_with(15.0.into());
    assert!(client.session.request_reconnect("maintenance"));
    let replies = client.replies();
    let information = object([
        ("level", "status".into()),
        ("code", "NetConnection.Connect.ReconnectRequest".into()),
        ("description", "maintenance".into()),
    ]);
    assert_eq!((replies.len(), replies[0].stream_id), (1, 0));
    assert_eq!(decoded(&replies[0].payload), ["onStatus".into(), 0.0.into(), Value::Null, information]);
    assert!(!client.session.request_reconnect("maintenance"));
    assert_eq!(client.replies(), []);
    assert!(matches!(client.send(kind::VIDEO, 1, 0, b"x"), Ok(Some(Event::Media { .. }))));
}

#[test]
fn a_peer_that_cannot_reconnect_or_does_not_publish_is_not_asked() {
    for capabilities in [14.0.into(), f64::NAN.into(), Value::from(-1e300), "1".into(), Value::Null] {
        assert!(!publishing_with(capabilities.clone()).session.request_reconnect("maintenance"), "{capabilities:?}");
    }
    assert!(!Client::publishing().session.request_reconnect("maintenance"));
    let mut ended = publishing_with(1.0.into());
    ended.command(1, &["deleteStream".into(), 6.0.into(), Value::Null, 1.0.into()]).unwrap();
    ended.replies();
    assert!(!ended.session.request_reconnect("maintenance") && ended.replies().is_empty());
}

#[test]
fn message_streams_are_capped() {
    let mut client = Client::connected();
    let outcomes: Vec<_> = (0..5).map(|_| client.command(0, &["createStream".into(), 4.0.into(), Value::Null])).collect();
    assert!(outcomes[..4].iter().all(|outcome| outcome == &Ok(None)));
    assert_eq!(outcomes[4], Err(Error::MessageStreams(4)));
}

#[test]
fn an_endless_name_is_refused() {
    let name = "k".repeat(257);
    let mut client = Client::connected();
    client.command(0, &["createStream".into(), 4.0.into(), Value::Null]).unwrap();
    let refusal = client.command(1, &["publish".into(), 5.0.into(), Value::Null, name.as_str().into()]);
    assert_eq!(refusal, Err(Error::Name { length: 257, limit: 256 }));
}

#[test]
fn what_follows_a_request_waits_for_the_decision() {
    let mut client = Client::handshaken();
    let mut bytes = BytesMut::new();
    for values in
        [vec!["connect".into(), 1.0.into(), object([("app", "live".into())])], vec!["createStream".into(), 2.0.into(), Value::Null]]
    {
        let payload = encoded(&values);
        let message = Message { chunk_stream: 3, kind: kind::COMMAND_AMF0, stream_id: 0, timestamp_ms: 0, payload };
        client.writer.write(&message, &mut bytes);
    }
    let mut input = &bytes[..];
    client.session.receive(&mut input).unwrap();
    assert_eq!(client.session.receive(&mut input), Err(Error::Undecided));
    client.session.accept_connect();
    assert_eq!(client.session.receive(&mut input), Ok(None));
    assert!(input.is_empty());
}

/// Everything that a publisher sends, from the handshake on.
fn publisher_bytes() -> Vec<u8> {
    let mut bytes = BytesMut::from(&handshake_bytes()[..]);
    let mut writer = Writer::default();
    let commands: [(u32, Vec<Value>); 3] = [
        (0, vec!["connect".into(), 1.0.into(), object([("app", "live".into())])]),
        (0, vec!["createStream".into(), 2.0.into(), Value::Null]),
        (1, vec!["publish".into(), 3.0.into(), Value::Null, "key".into()]),
    ];
    for (stream_id, values) in commands {
        let payload = encoded(&values);
        writer.write(&Message { chunk_stream: 3, kind: kind::COMMAND_AMF0, stream_id, timestamp_ms: 0, payload }, &mut bytes);
    }
    writer.set_chunk_bytes(1000, &mut bytes);
    for n in 0..5u32 {
        let payload = Bytes::from(vec![n as u8; 700 * n as usize]);
        writer.write(&Message { chunk_stream: 6, kind: kind::VIDEO, stream_id: 1, timestamp_ms: n * 40, payload }, &mut bytes);
    }
    bytes.to_vec()
}

/// Feeds `bytes` in pieces, lets everybody in, and counts media.
fn media_of(bytes: &[u8], piece: usize) -> Result<usize, Error> {
    let mut session = Session::new(Limits::default());
    let mut media = 0;
    for piece in bytes.chunks(piece) {
        let mut input = piece;
        while let Some(event) = session.receive(&mut input)? {
            match event {
                Event::ConnectRequested { .. } => session.accept_connect(),
                Event::PublishRequested { .. } => session.accept_publish(),
                Event::Media { .. } => media += 1,
                Event::PublishEnded => {}
            }
        }
        session.take_output();
    }
    Ok(media)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_publisher_cut_anywhere_is_understood(piece in 1usize..4000) {
        prop_assert_eq!(media_of(&publisher_bytes(), piece), Ok(5));
    }

    #[test]
    fn noise_after_the_handshake_never_panics(noise in prop::collection::vec(any::<u8>(), 0..500), piece in 1usize..4000) {
        let _ = media_of(&[&handshake_bytes()[..], &noise].concat(), piece);
    }

    #[test]
    fn a_publisher_with_flipped_bytes_never_panics(at in prop::collection::vec((3073usize..4000, any::<u8>()), 1..6), piece in 1usize..4000) {
        let mut bytes = publisher_bytes();
        for (at, byte) in at {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        let _ = media_of(&bytes, piece);
    }
}
