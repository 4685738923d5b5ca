//! Certificates for HTTPS and RTMPS: where their files are, and whether they can be used.

use std::path::{Path, PathBuf};

use crate::base::tls::{Pair, PairFiles};

use super::node::Node;
use super::scalar::{Complaint, Scalar, complain};
use super::sink::{Entry, Field, Place, Sink};
use super::slate::absolute;
use super::values;
use super::written::Written;

/// Most certificates of a file.
const MOST_CERTIFICATES: usize = 64;

/// A `[[certificate]]`.
#[derive(Debug)]
pub struct WrittenCertificate {
    pub place: Place,
    pub chain: Field<PathBuf>,
    pub key: Field<PathBuf>,
    pub names: Field<Vec<Entry<String>>>,
}

/// Reads a `[[certificate]]`.
pub fn written(node: &Node, sink: &mut Sink) -> WrittenCertificate {
    let path = |scalar: &Scalar| values::text(scalar).map(PathBuf::from);
    WrittenCertificate {
        place: node.place().clone(),
        chain: node.field("chain", sink, path),
        key: node.field("key", sink, path),
        names: node.list("names", sink, host),
    }
}

/// A host as clients write it in an address: no scheme, no port, no wildcard.
fn host(scalar: &Scalar) -> Result<String, Complaint> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    match scalar.text() {
        Some(text) if (1..=253).contains(&text.len()) && text.bytes().all(allowed) => Ok(text.to_lowercase()),
        _ => complain("must be a host name or an address as clients write it", "write for example \"live.example.org\""),
    }
}

/// The certificates. Their files are looked up from `folder`, and read where `reads`; without a folder they are not looked at.
pub fn certificates(written: &Written, folder: Option<&Path>, reads: bool, sink: &mut Sink) -> Vec<PairFiles> {
    for listener in [&written.https, &written.rtmps] {
        if let (Field::Given(Entry { value: Some(_), place }), true) = (listener, written.certificates.is_empty()) {
            let rule = "needs a certificate, and the file has none";
            sink.add(place, rule, "add [[certificate]] and below it chain = \"fullchain.pem\" and key = \"privkey.pem\"");
        }
    }
    if let Some(extra) = written.certificates.get(MOST_CERTIFICATES) {
        sink.add(&extra.place, format!("is one more than {MOST_CERTIFICATES}"), "use certificates with several names, or wildcards");
    }
    written.certificates.iter().filter_map(|certificate| settled(certificate, folder, reads, sink)).collect()
}

fn settled(written: &WrittenCertificate, folder: Option<&Path>, reads: bool, sink: &mut Sink) -> Option<PairFiles> {
    for (field, key) in [(&written.chain, "chain"), (&written.key, "key")] {
        if *field == Field::Absent {
            sink.add(&written.place.of(key), "is missing", format!("set it to a PEM file: {key} = \"/etc/headend/{key}.pem\""));
        }
    }
    let (chain, key) = (written.chain.given()?, written.key.given()?);
    let Some(folder) = folder else { return Some(PairFiles { chain: chain.value.clone(), key: key.value.clone() }) };
    let files = PairFiles { chain: absolute(folder, &chain.value), key: absolute(folder, &key.value) };
    if !reads {
        return Some(files);
    }
    match Pair::load(&files) {
        Ok(pair) => check_names(written, &pair, sink),
        Err(errors) => {
            for error in errors {
                let place = if error.is_of_key() { &key.place } else { &chain.place };
                sink.add(place, format!("cannot be used: {error}"), error.remedy());
            }
        }
    }
    Some(files)
}

fn check_names(written: &WrittenCertificate, pair: &Pair, sink: &mut Sink) {
    let held = || if pair.names().is_empty() { "no name at all".to_owned() } else { pair.names().join(", ") };
    for name in written.names.value().into_iter().flatten().filter(|name| !pair.covers(&name.value)) {
        let rule = format!("is not covered by the certificate, which is for {}", held());
        sink.add(&name.place, rule, "have one issued for this name too (subjectAltName), or remove it from names");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::{Overrides, Plan, Report, load};
    use crate::base::tls::tests::write_pair;

    fn loaded(folder: &TempDir, text: &str) -> Result<Plan, Report> {
        let file = folder.path().join("a.toml");
        fs::write(&file, format!("state_dir = \"/state\"\n{text}\n[[channel]]\nname = \"news\"\n")).unwrap();
        load(&file, &Overrides::default())
    }

    fn one_problem(folder: &TempDir, text: &str) -> String {
        let report = loaded(folder, text).expect_err(text).to_string();
        assert_eq!(report.lines().count(), 2, "{report}");
        report
    }

    #[test]
    fn files_are_looked_up_beside_the_configuration_and_must_fit_together() {
        let folder = TempDir::new().unwrap();
        let (one, _other) = (write_pair(folder.path(), "one", &["live.example"]), write_pair(folder.path(), "other", &["other.example"]));
        let listeners = "https.listen = \"127.0.0.1\"\nrtmps.listen = \"127.0.0.1\"\n";
        let with = |rest: &str| format!("{listeners}[[certificate]]\nchain = \"one.pem\"\n{rest}");
        let plan = loaded(&folder, &with("key = \"one.key\"\nnames = [\"LIVE.example\"]")).unwrap();
        assert_eq!(plan.certificates, [one]);
        assert_eq!((plan.https.unwrap().port(), plan.rtmps.unwrap().port()), (8443, 1936));

        let problem = one_problem(&folder, &with("key = \"other.key\""));
        assert!(problem.contains("certificate[0].key = \"other.key\": cannot be used") && problem.contains("is not that of"), "{problem}");
        let problem = one_problem(&folder, &with("key = \"one.key\"\nnames = [\"tv.example\"]"));
        assert!(problem.contains("names[0] = \"tv.example\": is not covered by the certificate, which is for live.example"), "{problem}");
        assert!(one_problem(&folder, &with("key = \"none.key\"")).contains("cannot be read"));
        assert!(one_problem(&folder, &with("")).contains("certificate[0].key: is missing"));
    }

    #[test]
    fn tls_without_a_certificate_and_listeners_on_one_port_are_refused() {
        let folder = TempDir::new().unwrap();
        assert!(one_problem(&folder, "https.listen = \"127.0.0.1\"").contains("https.listen = \"127.0.0.1\": needs a certificate"));
        write_pair(folder.path(), "one", &["live.example"]);
        let pair = "[[certificate]]\nchain = \"one.pem\"\nkey = \"one.key\"\n";
        let problem = one_problem(&folder, &format!("https.listen = \"127.0.0.1:8080\"\n{pair}"));
        assert!(problem.contains("overlaps: http would listen on 127.0.0.1:8080 and https on 127.0.0.1:8080"), "{problem}");
    }

    #[test]
    fn publishers_who_come_by_rtmps_alone_need_keys_of_their_own() {
        let folder = TempDir::new().unwrap();
        write_pair(folder.path(), "one", &["live.example"]);
        let text = "rtmps.listen = \"0.0.0.0\"\n[[certificate]]\nchain = \"one.pem\"\nkey = \"one.key\"\n";
        assert!(one_problem(&folder, text).contains("stream_key"));
    }
}
