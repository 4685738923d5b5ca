//! How many encode sessions the driver allows, and what is said when it allows no more.

use headend::base::Fault;
use headend::codec::Color;
use headend::codec::nvidia::cuda::Stream;
use headend::codec::nvidia::{DevicePool, Format, NvEncoder, NvOptions};
use headend::media::Rung;

use crate::bench::{Bench, grid, words};
use crate::report::Findings;

/// As many as are tried: more than any limit that consumer cards have.
const TRIED: usize = 32;

/// Opens encoders until one is refused.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    let what = "opened until refused";
    if let Some(why) = bench.no_encoder() {
        findings.leave_out(what, why);
        return Ok(());
    }
    let device = bench.device()?;
    let stream = Stream::new(&device).map_err(words)?;
    let rung = Rung::new("session", 320, 180, 300_000, "ultrafast");
    let options = NvOptions { grid: grid(), color: Color::assumed(180), live: true };
    let mut open = Vec::new();
    let tried = if bench.quick { TRIED / 2 } else { TRIED };
    let refused = (0..tried).find_map(|_| {
        let pool = match DevicePool::new(&device, "session", Format::Nv12, (320, 180), NvEncoder::depth(&rung, options)) {
            Ok(pool) => pool,
            Err(cause) => return Some(cause),
        };
        NvEncoder::open(0, &rung, options, &stream, &pool).map(|encoder| open.push(encoder)).err()
    });
    let Some(cause) = refused else {
        findings.judge(what, &format!("{} opened and none refused", open.len()), agrees(bench, None));
        return Ok(());
    };
    let outcome = match cause.fault() {
        Fault::Overload => agrees(bench, Some(open.len() as u32)),
        other => Err(format!("the refusal counts as {other}, not as an overload")),
    };
    findings.judge(what, &format!("{} opened; then: {cause}", open.len()), outcome);
    let again = open.pop().map(|encoder| {
        drop(encoder);
        let pool = DevicePool::new(&device, "session", Format::Nv12, (320, 180), NvEncoder::depth(&rung, options)).map_err(words)?;
        NvEncoder::open(0, &rung, options, &stream, &pool).map(|_| ()).map_err(words)
    });
    findings.judge("one that is closed makes room for one", "", again.unwrap_or_else(|| Err("not one was opened".into())));
    Ok(())
}

/// The probe has counted by opening too. It stops sooner, so that a limit beyond its own count is none to it.
fn agrees(bench: &Bench, limit: Option<u32>) -> Result<(), String> {
    match (bench.gpu.most_sessions, limit) {
        (Some(probed), Some(limit)) if probed == limit => Ok(()),
        (None, None) => Ok(()),
        (None, Some(limit)) if limit >= bench.gpu.tried_sessions => Ok(()),
        (probed, limit) => Err(format!("the probe found {probed:?} and this {limit:?}: do other programs encode on the card?")),
    }
}
