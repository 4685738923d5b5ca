//! A whole connection behind its handshake: every request is granted, media only comes from who was let in, and the
//! answers stay in proportion to what was received.

use headend::wire::rtmp::{Event, Limits, Session, Stage};

/// What the client sends after its handshake. Gives the number of media messages.
pub fn run(data: &[u8]) -> usize {
    let mut session = Session::new(Limits::default());
    let hello = [&[3][..], &[0; 1536], &[0; 1536]].concat();
    receive(&mut session, &hello);
    if session.stage() != Stage::Handshaken {
        return 0;
    }
    session.take_output();
    let media = receive(&mut session, data);
    let answered = session.take_output().len();
    assert!(answered <= 4096 + 64 * data.len(), "{answered} bytes answer {}", data.len());
    media
}

fn receive(session: &mut Session, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut media = 0;
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
            Ok(Some(Event::Media { .. })) => {
                assert_eq!(session.stage(), Stage::Publishing, "media from who was not let in");
                media += 1;
            }
            Ok(Some(Event::PublishEnded)) => {}
            Ok(None) => {
                assert!(rest.is_empty(), "bytes were left although nothing was whole");
                return media;
            }
            Err(_) => return media,
        }
    }
}
