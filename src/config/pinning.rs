//! The table `[machine]`: which cores each part runs on.

use crate::base::cores::{Cores, MOST_CORES};
use crate::placement::PinningWish;

use super::node::Node;
use super::scalar::{Complaint, Scalar, complain};
use super::sink::{Field, Sink};
use super::values;

/// `[machine]` as typed.
#[derive(Debug)]
pub struct WrittenPinning {
    /// False for `"off"`.
    pub pinning: Field<bool>,
    pub ingest: Field<Cores>,
    pub packaging: Field<Cores>,
    pub edge: Field<Cores>,
    pub workers: Field<Cores>,
}

/// Reads the table.
pub fn written(table: Option<&Node>, sink: &mut Sink) -> WrittenPinning {
    let mut list = |key: &'static str| table.map_or(Field::Absent, |table| table.field(key, sink, cores));
    let (ingest, packaging, edge, workers) = (list("ingest"), list("packaging"), list("edge"), list("workers"));
    let pinning = table
        .map_or(Field::Absent, |table| table.field("pinning", sink, |scalar| values::one_of(scalar, &[("auto", true), ("off", false)])));
    WrittenPinning { pinning, ingest, packaging, edge, workers }
}

/// What the machine is asked for. Whether it has such cores shows when it is started there.
pub fn wish(written: &WrittenPinning, sink: &mut Sink) -> PinningWish {
    let off = !written.pinning.or(true);
    for list in [&written.ingest, &written.packaging, &written.edge, &written.workers] {
        if let (true, Some(list)) = (off, list.given()) {
            sink.add(&list.place, "has no meaning with pinning = \"off\"", "remove it, or use pinning = \"auto\"");
        }
    }
    let list = |field: &Field<Cores>| field.value().cloned();
    PinningWish {
        off,
        ingest: list(&written.ingest),
        packaging: list(&written.packaging),
        edge: list(&written.edge),
        workers: list(&written.workers),
    }
}

/// `"0-3,6"`, or one core's number.
fn cores(scalar: &Scalar) -> Result<Cores, Complaint> {
    let rule = format!("must be a list of cores, numbers from 0 to {}", MOST_CORES - 1);
    let read = match *scalar {
        Scalar::Integer(core) => core.to_string().parse::<Cores>().ok(),
        Scalar::Text(text) => text.parse::<Cores>().ok(),
        _ => None,
    };
    match read.filter(|cores| !cores.is_empty()) {
        Some(cores) => Ok(cores),
        None => complain(rule, "write for example \"2-5,8\"; `headend probe` prints the cores that may be used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_a_list_or_one_number() {
        assert_eq!(cores(&Scalar::Text("2-3,8")).unwrap().to_string(), "2-3,8");
        assert_eq!(cores(&Scalar::Integer(3)).unwrap().to_string(), "3");
        for wrong in
            [Scalar::Text(""), Scalar::Text("3-2"), Scalar::Text("all"), Scalar::Integer(-1), Scalar::Integer(1024), Scalar::Flag(true)]
        {
            assert!(cores(&wrong).is_err(), "{wrong:?}");
        }
    }
}
