//! Accept-Encoding (RFC 9110 section 12.5.3), as far as gzip goes.

/// Whether the client takes gzip: it names `gzip`, `x-gzip` or `*` with a weight above zero. The exact name wins over `*`.
pub(super) fn accepts_gzip(value: &str) -> bool {
    let mut any = false;
    for entry in value.split(',') {
        let mut parts = entry.split(';');
        let coding = parts.next().unwrap_or_default().trim();
        let weighty = parts.all(|parameter| !is_zero_weight(parameter));
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return weighty;
        }
        if coding == "*" {
            any = weighty;
        }
    }
    any
}

/// `q=0`, `q=0.`, `q=0.000`; anything that is no weight does not exclude.
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim();
    name.trim().eq_ignore_ascii_case("q") && value.starts_with('0') && value.bytes().all(|byte| byte == b'0' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_to_who_asks_for_it() {
        for value in ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, x-gzip ; q=0.1", "*;q=0, gzip", "gzip;foo"] {
            assert!(accepts_gzip(value), "{value}");
        }
        for value in ["", "identity", "gzip;q=0", "gzip; q = 0.000, *", "*;q=0", "br", "gzipped", "gzip;Q=0"] {
            assert!(!accepts_gzip(value), "{value}");
        }
    }
}
