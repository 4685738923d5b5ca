//! The series of load: what a report does not say is not shown.

use prometheus::core::{Atomic, GenericGauge, GenericGaugeVec};

use crate::base::metrics::metrics;
use crate::media::load::{GpuLoad, Throttle};

/// The series that are shown now. They go with it.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    shown: Vec<String>,
}

impl Gauges {
    /// Shows `loads` for those of the devices `known` that are among them, and for the others that there is nothing to see.
    pub(super) fn show(&mut self, known: &[String], loads: &[GpuLoad]) {
        for gone in self.shown.iter().filter(|shown| !known.contains(shown)) {
            set(&GpuLoad { uuid: gone.clone(), ..GpuLoad::default() });
            let _ = metrics().load.up.remove_label_values(&[gone]);
        }
        for uuid in known {
            let load = loads.iter().find(|load| load.uuid == *uuid);
            metrics().load.up.with_label_values(&[uuid]).set(i64::from(load.is_some()));
            match load {
                Some(load) => set(load),
                None => set(&GpuLoad { uuid: uuid.clone(), ..GpuLoad::default() }),
            }
        }
        self.shown = known.to_vec();
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.show(&[], &[]);
    }
}

fn set(load: &GpuLoad) {
    let families = &metrics().load;
    let device = &*load.uuid;
    let whole = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    let engines = [
        ("encoder", load.encoder_percent),
        ("decoder", load.decoder_percent),
        ("kernels", load.kernels_percent),
        ("memory", load.memory_percent),
    ];
    for (engine, percent) in engines {
        one(&families.busy, &[device, engine], percent.map(|percent| f64::from(percent) / 100.0));
    }
    one(&families.memory, &[device, "used"], whole(load.memory_used_bytes));
    one(&families.memory, &[device, "free"], whole(load.memory_free_bytes));
    one(&families.temperature, &[device], load.temperature_celsius.map(i64::from));
    one(&families.temperature_limit, &[device], load.temperature_limit_celsius.map(i64::from));
    one(&families.power, &[device], load.power_milliwatts.map(|milliwatts| f64::from(milliwatts) / 1000.0));
    one(&families.power_limit, &[device], load.power_limit_milliwatts.map(|milliwatts| f64::from(milliwatts) / 1000.0));
    let clocks = [("graphics", load.graphics_clock_mhz), ("memory", load.memory_clock_mhz), ("video", load.video_clock_mhz)];
    for (clock, mhz) in clocks {
        one(&families.clock, &[device, clock], mhz.map(|mhz| i64::from(mhz) * 1_000_000));
    }
    one(&families.sessions, &[device], load.encode_sessions.map(i64::from));
    for reason in Throttle::ALL {
        let is_so = load.throttled.as_ref().map(|throttled| i64::from(throttled.contains(&reason)));
        one(&families.throttle, &[device, reason.label()], is_so);
    }
    one(&families.ecc_errors, &[device, "corrected"], whole(load.ecc_corrected));
    one(&families.ecc_errors, &[device, "uncorrected"], whole(load.ecc_uncorrected));
    one(&families.retired_pages, &[device], whole(load.retired_pages));
    one(&families.retirement_pending, &[device], load.retirement_pending.map(i64::from));
}

/// Sets a series, or takes it back where there is no value.
fn one<P: Atomic>(family: &GenericGaugeVec<P>, labels: &[&str], value: Option<P::T>) {
    match value {
        Some(value) => GenericGauge::set(&family.with_label_values(labels), value),
        // One that was never set is an error to remove, and no loss.
        None => drop(family.remove_label_values(labels)),
    }
}
