//! A whole connection behind its handshake: every request is granted, media only comes from who was let in, and the
//! answers stay in proportion to what was received.

use headend::wire::rtmp::{Event, Limits, Session, Stage};

/// What the client sends after its handshake.
pub fn run(data: &[u8]) {
    let mut session = Session::new(Limits::default());
    let hello = [&[3][..], &[0; 1536], &[0; 1536]].concat();
    receive(&mut session, &hello);
    if session.stage() != Stage::Handshaken {
        return;
    }
    session.take_output();
    receive(&mut session, data);
    let answered = session.take_output().len();
    assert!(answered <= 4096 + 64 * data.len(), "{answered} bytes answer {}", data.len());
}

fn receive(session: &mut Session, bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        match session.receive(&mut rest) {
            Ok(Some(Event::ConnectRequested { application, agent })) => {
                assert!(application.len() <= Limits::default().name_bytes && agent.chars().count() <= 64);
                session.accept_connect();
            }
            Ok(Some(Event::PublishRequested { stream, .. })) => {
                assert!(stream.len() <= Limits::default().name_bytes);
                session.accept_publish();
            }
            Ok(Some(Event::Media { .. })) => assert_eq!(session.stage(), Stage::Publishing, "media from who was not let in"),
            Ok(Some(Event::PublishEnded)) => {}
            Ok(None) => return assert!(rest.is_empty(), "bytes were left although nothing was whole"),
            Err(_) => return,
        }
    }
}
