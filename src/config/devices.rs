//! The table `[devices]`, and what a channel wants of devices.

use std::time::Duration;

use crate::base::Ticks;
use crate::channel::plan::LadderPlan;
use crate::placement::devices::{beyond_software, codec_name};
use crate::placement::{DevicePolicy, DeviceWish, GpuChoice};

use super::node::Node;
use super::scalar::{Complaint, Scalar, complain};
use super::sink::{Field, Sink};
use super::timing::within;
use super::written_channel::WrittenChannel;
use super::{units, values};

/// A device that answers again stays answering if it has done so for this long, as a rule.
const RETURN_AFTER: Ticks = Ticks::from_millis(30_000);

/// Shortest beginning of a UUID that names a GPU: `GPU-` and eight digits.
const SHORTEST_UUID: usize = 12;

/// The devices of the machine, as the plan has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicesPlan {
    /// Whether NVIDIA GPUs are looked for.
    pub nvidia: bool,
    /// How long a device that had failed must have been well before channels return to it.
    pub return_after: Duration,
}

/// `[devices]` as typed.
#[derive(Debug)]
pub struct WrittenDevices {
    pub nvidia: Field<bool>,
    pub device: Field<DevicePolicy>,
    pub gpu: Field<GpuChoice>,
    pub return_after: Field<Ticks>,
}

/// What the rules of channels look at.
pub struct Devices<'a> {
    written: &'a WrittenDevices,
    plan: DevicesPlan,
}

/// Reads `[devices]`.
pub fn written(table: Option<Node>, sink: &mut Sink) -> WrittenDevices {
    let Some(table) = table else {
        return WrittenDevices { nvidia: Field::Absent, device: Field::Absent, gpu: Field::Absent, return_after: Field::Absent };
    };
    WrittenDevices {
        nvidia: table.field("nvidia", sink, |scalar| values::one_of(scalar, &[("auto", true), ("off", false)])),
        device: table.field("device", sink, policy),
        gpu: table.field("gpu", sink, gpu),
        return_after: table.field("return_after", sink, units::duration),
    }
}

/// `prefer`, `require` or `software`.
pub fn policy(scalar: &Scalar) -> Result<DevicePolicy, Complaint> {
    let policies = [DevicePolicy::Prefer, DevicePolicy::Require, DevicePolicy::Software];
    values::one_of(scalar, &policies.map(|policy| (policy.label(), policy)))
}

/// `auto`, an ordinal, or the beginning of a UUID.
pub fn gpu(scalar: &Scalar) -> Result<GpuChoice, Complaint> {
    let rule = "must be \"auto\", the number of a GPU, or its UUID";
    match *scalar {
        Scalar::Text("auto") => Ok(GpuChoice::Any),
        Scalar::Integer(ordinal @ 0..=255) => Ok(GpuChoice::Ordinal(ordinal as u32)),
        Scalar::Text(text) if is_uuid(text) => Ok(GpuChoice::Uuid(text.to_owned())),
        Scalar::Text(text) if text.parse::<u8>().is_ok() => complain(rule, format!("leave the quotes out: {text}")),
        _ => complain(rule, "write for example gpu = 0, or gpu = \"GPU-...\" as headend probe prints it"),
    }
}

fn is_uuid(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    let digits = text.strip_prefix("GPU-").unwrap_or_default();
    (SHORTEST_UUID..=64).contains(&text.len()) && digits.bytes().all(is_digit)
}

impl<'a> Devices<'a> {
    /// Checks the table by itself.
    pub fn of(written: &'a WrittenDevices, sink: &mut Sink) -> Devices<'a> {
        let hour = Ticks::from_millis(3_600_000);
        let return_after = written.return_after.clone().checked(sink, |span| within(*span, Ticks::from_millis(1_000), hour));
        let plan = DevicesPlan { nvidia: written.nvidia.or(true), return_after: Duration::from(return_after.or(RETURN_AFTER)) };
        if let (false, Some(device)) = (plan.nvidia, written.device.given().filter(|device| device.value == DevicePolicy::Require)) {
            sink.add(&device.place, REQUIRED_BUT_OFF, REMEDY_OF_OFF);
        }
        Devices { written, plan }
    }

    /// The table as meant.
    pub fn plan(&self) -> DevicesPlan {
        self.plan
    }
}

const REQUIRED_BUT_OFF: &str = "needs a device, and devices.nvidia is \"off\"";
const REMEDY_OF_OFF: &str = "use device = \"software\", or nvidia = \"auto\"";

/// What a channel wants of devices.
pub fn wish(channel: &WrittenChannel, ladder: &LadderPlan, devices: &Devices, sink: &mut Sink) -> DeviceWish {
    let general = devices.written;
    let policy = channel.device.or(general.device.or(DevicePolicy::Prefer));
    if let (false, Some(device)) = (devices.plan.nvidia, channel.device.given().filter(|device| device.value == DevicePolicy::Require)) {
        sink.add(&device.place, REQUIRED_BUT_OFF, REMEDY_OF_OFF);
    }
    if let (DevicePolicy::Software, Some(gpu)) = (policy, channel.gpu.given()) {
        sink.add(&gpu.place, "has no meaning with device = \"software\"", "remove it, or use device = \"prefer\"");
    }
    let in_software = policy == DevicePolicy::Software || !devices.plan.nvidia;
    if let (true, LadderPlan::Rungs(rungs), Some(name)) = (in_software, ladder, channel.ladder.given())
        && let Some(rung) = beyond_software(rungs)
    {
        let why = if devices.plan.nvidia { "device is \"software\"" } else { "devices.nvidia is \"off\"" };
        let rule = format!("has rung {} coded as {}, which software does not make, and {why}", rung.name, codec_name(rung.codec));
        sink.add(&name.place, rule, "use codec = \"h264\" for it, or let a device in");
    }
    DeviceWish { policy, gpu: channel.gpu.or(general.gpu.or(GpuChoice::Any)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_a_number_or_a_uuid_and_nothing_else() {
        assert_eq!(gpu(&Scalar::Integer(1)), Ok(GpuChoice::Ordinal(1)));
        assert_eq!(gpu(&Scalar::Text("GPU-5d2c1a90")), Ok(GpuChoice::Uuid("GPU-5d2c1a90".into())));
        assert!(gpu(&Scalar::Text("GPU-")).is_err() && gpu(&Scalar::Text("L4")).is_err() && gpu(&Scalar::Integer(-1)).is_err());
        assert_eq!(gpu(&Scalar::Text("0")).unwrap_err().remedy, "leave the quotes out: 0");
    }
}
