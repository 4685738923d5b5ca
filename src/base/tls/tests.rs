//! Certificates made here, shown to clients that check them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::base::WallTime;

/// Writes a certificate for these names, valid in the year 2040, and its key.
pub(crate) fn write_pair(folder: &Path, stem: &str, names: &[&str]) -> PairFiles {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    let files = PairFiles { chain: folder.join(format!("{stem}.pem")), key: folder.join(format!("{stem}.key")) };
    fs::write(&files.chain, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// A client that trusts these certificates and no other.
pub(crate) fn connector(trusted: &[&PairFiles], versions: &[&'static SupportedProtocolVersion], offered: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for files in trusted {
        roots.add(CertificateDer::from_pem_file(&files.chain).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// A server for one connection: what came of its handshake, after an echo of what was said.
async fn one(server: TlsServer) -> (SocketAddr, tokio::task::JoinHandle<Result<(), HandshakeError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let mut socket = server.handshake(stream, peer).await?;
        let mut said = Vec::new();
        socket.read_to_end(&mut said).await.unwrap();
        socket.write_all(&said).await.unwrap();
        socket.shutdown().await.unwrap();
        Ok(())
    });
    (address, serving)
}

async fn dial(address: SocketAddr, connector: &TlsConnector, host: &'static str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    connector.connect(ServerName::try_from(host).unwrap(), stream).await
}

fn https(files: &[PairFiles]) -> (Arc<Certificates>, TlsServer) {
    let certificates = Certificates::load(files).unwrap();
    let server = TlsServer::new(Arc::clone(&certificates), "https", &[b"h2", b"http/1.1"]).unwrap();
    (certificates, server)
}

fn one_error(files: &PairFiles) -> PairError {
    let mut errors = Pair::load(files).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn files_that_are_no_certificate_with_its_key_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (write_pair(folder.path(), "one", &["a.example"]), write_pair(folder.path(), "other", &["a.example"]));
    let with_key = |key: &str| {
        let path = folder.path().join("odd.key");
        fs::write(&path, key).unwrap();
        one_error(&PairFiles { chain: one.chain.clone(), key: path })
    };
    let mixed = one_error(&PairFiles { chain: one.chain.clone(), key: other.key.clone() });
    assert!(matches!(mixed, PairError::Mismatch { .. }) && mixed.is_of_key(), "{mixed}");
    assert!(with_key("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n").remedy().contains("passphrase"));
    assert!(matches!(with_key("nothing"), PairError::Key { .. }));
    let swapped = one_error(&PairFiles { chain: one.key.clone(), key: one.key.clone() });
    assert!(matches!(&swapped, PairError::Chain { cause, .. } if cause.contains("no BEGIN CERTIFICATE")), "{swapped}");
    let missing = PairFiles { chain: folder.path().join("none.pem"), key: folder.path().to_owned() };
    let errors = Pair::load(&missing).unwrap_err();
    assert!(
        matches!(errors.as_slice(), [PairError::Unreadable { is_key: false, .. }, PairError::Unreadable { is_key: true, .. }]),
        "{errors:?}"
    );
    assert!(errors.iter().all(|error| error.fault() == crate::base::Fault::Config));
}

#[test]
fn a_certificate_says_for_which_hosts_and_how_long_it_is() {
    let folder = TempDir::new().unwrap();
    let pair = Pair::load(&write_pair(folder.path(), "one", &["Live.Example", "*.cdn.example", "192.0.2.7"])).unwrap();
    assert_eq!(pair.names(), ["live.example", "*.cdn.example", "192.0.2.7"]);
    for host in ["live.example", "LIVE.example.", "a.cdn.example", "192.0.2.7"] {
        assert!(pair.covers(host), "{host}");
    }
    for host in ["example", "x.live.example", "cdn.example", "a.b.cdn.example", ".cdn.example", "192.0.2.8", ""] {
        assert!(!pair.covers(host), "{host}");
    }
    assert_eq!((pair.not_before(), pair.not_after()), (WallTime(1_577_836_800_000_000), WallTime(2_208_988_800_000_000)));
}

#[tokio::test]
async fn each_host_is_shown_its_own_certificate_and_strangers_the_first() {
    let folder = TempDir::new().unwrap();
    let files = [
        write_pair(folder.path(), "first", &["first.example"]),
        write_pair(folder.path(), "wild", &["*.wild.example"]),
        write_pair(folder.path(), "exact", &["exact.wild.example"]),
    ];
    let (_, server) = https(&files);
    for (host, index) in [("first.example", 0), ("a.wild.example", 1), ("exact.wild.example", 2)] {
        let (address, _serving) = one(server.clone()).await;
        let shown = dial(address, &connector(&[&files[index]], &BOTH, &[]), host).await;
        assert!(shown.is_ok(), "{host}: {shown:?}");
    }
    let (address, serving) = one(server).await;
    let stranger = dial(address, &connector(&[&files[0]], &BOTH, &[]), "stranger.example").await.unwrap_err();
    assert!(stranger.to_string().contains("not valid for name"), "it was shown the first, which is for another host: {stranger}");
    assert!(matches!(serving.await.unwrap(), Err(HandshakeError::Failed(_))));
}

#[tokio::test]
async fn the_best_common_protocol_is_agreed_on_in_both_versions() {
    let folder = TempDir::new().unwrap();
    let files = write_pair(folder.path(), "one", &["a.example"]);
    let (_, server) = https(std::slice::from_ref(&files));
    for version in BOTH {
        let (address, serving) = one(server.clone()).await;
        let client = connector(&[&files], &[version], &[b"http/1.1", b"h2"]);
        let mut stream = dial(address, &client, "a.example").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "{version:?}");
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut echo = String::new();
        stream.read_to_string(&mut echo).await.unwrap();
        assert_eq!(echo, "hello");
        serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn half_a_handshake_ends_at_its_limit() {
    let folder = TempDir::new().unwrap();
    let (_, server) = https(&[write_pair(folder.path(), "one", &["a.example"])]);
    let (address, serving) = one(server.within(Duration::from_millis(50))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    assert!(matches!(serving.await.unwrap(), Err(HandshakeError::Late(_))));
}

#[tokio::test]
async fn what_is_no_tls_is_handed_back_unread() {
    let folder = TempDir::new().unwrap();
    let (_, server) = https(&[write_pair(folder.path(), "one", &["a.example"])]);
    let (address, serving) = one(server.clone()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /").await.unwrap();
    let Err(HandshakeError::NotTls(mut handed)) = serving.await.unwrap() else { panic!("it was taken for TLS") };
    let mut said = [0; 5];
    handed.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"GET /");
    let (address, serving) = one(server).await;
    drop(TcpStream::connect(address).await.unwrap());
    assert!(matches!(serving.await.unwrap(), Err(HandshakeError::Silent)));
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_once_and_a_broken_one_never() {
    let folder = TempDir::new().unwrap();
    let files = write_pair(folder.path(), "one", &["a.example"]);
    let (certificates, server) = https(std::slice::from_ref(&files));
    assert!(certificates.renew().is_empty(), "nothing has changed");
    let old = connector(&[&files], &BOTH, &[]);

    fs::write(&files.chain, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let told = certificates.renew();
    assert!(matches!(told.as_slice(), [(path, Renewal::Refused(_))] if *path == files.chain), "{told:?}");
    assert!(certificates.renew().is_empty(), "it is told once");
    let (address, _serving) = one(server.clone()).await;
    dial(address, &old, "a.example").await.expect("the old one goes on");
    fs::remove_file(&files.chain).unwrap();
    assert!(matches!(certificates.renew().as_slice(), [(_, Renewal::Refused(_))]), "missing is another story than broken");

    write_pair(folder.path(), "one", &["b.example"]);
    let told = certificates.renew();
    assert!(matches!(told.as_slice(), [(_, Renewal::Taken(pair))] if pair.names() == ["b.example"]), "{told:?}");
    let (address, _serving) = one(server.clone()).await;
    dial(address, &connector(&[&files], &BOTH, &[]), "b.example").await.expect("the new one is shown");
    let (address, _serving) = one(server.clone()).await;
    assert!(dial(address, &old, "a.example").await.is_err());

    let other = write_pair(folder.path(), "other", &["c.example"]);
    let missing = PairFiles { chain: folder.path().join("none.pem"), key: other.key.clone() };
    assert!(Certificates::load(&[missing, other.clone()]).is_err());
    certificates.take_over(&Certificates::load(std::slice::from_ref(&other)).unwrap());
    let (address, _serving) = one(server).await;
    dial(address, &connector(&[&other], &BOTH, &[]), "c.example").await.expect("another list of certificates");
}
