//! What this machine's GPUs are good for, for the front: a role of its own, so that a driver that crashes or hangs costs a child that can
//! be ended and nothing else.

use crate::codec::nvidia::probe::probe;

/// The [`DeviceReport`](crate::media::device::DeviceReport) as one line of JSON. No driver is no error: the report says so. `known` as of
/// [`probe`].
pub fn devices(known: &[String]) -> serde_json::Result<String> {
    serde_json::to_string(&probe(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::device::DeviceReport;

    #[test]
    fn a_report_has_gpus_or_says_why_there_are_none() {
        let report: DeviceReport = serde_json::from_str(&devices(&[]).unwrap()).unwrap();
        assert_eq!(report.gpus.is_empty(), report.absent.is_some(), "{report:?}");
    }
}
