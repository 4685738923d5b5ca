//! What families there are, whether they have series yet or not.

use std::sync::{Mutex, PoisonError};

use prometheus::Registry;
use prometheus::core::Collector;
use prometheus::proto::MetricType;

/// One family of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// `headend_segments_total`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels, in order.
    pub labels: Vec<String>,
    /// What it counts or measures, in a sentence.
    pub help: String,
}

static FAMILIES: Mutex<Vec<Described>> = Mutex::new(Vec::new());

/// Every family, by name. The text of `/metrics` leaves those out that have no series yet.
pub fn families() -> Vec<Described> {
    super::metrics();
    let mut families = FAMILIES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    families.sort_by(|one, other| one.name.cmp(&other.name));
    families
}

/// Registers a family. The families are fixed at compile time, so an error here is caught by the first test.
pub(super) fn registered<C: Collector + Clone + 'static>(registry: &Registry, family: prometheus::Result<C>) -> C {
    let family = family.expect("the metric's name and labels are valid");
    registry.register(Box::new(family.clone())).expect("the metric's name is unique");
    let kind = match family.collect().first().map(|family| family.get_field_type()) {
        Some(MetricType::COUNTER) => "counter",
        Some(MetricType::HISTOGRAM) => "histogram",
        _ => "gauge",
    };
    let described = family.desc().into_iter().map(|desc| Described {
        name: desc.fq_name.clone(),
        kind,
        labels: desc.variable_labels.clone(),
        help: desc.help.clone(),
    });
    FAMILIES.lock().unwrap_or_else(PoisonError::into_inner).extend(described);
    family
}
