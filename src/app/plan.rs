//! `headend plan`: who would sit where, without starting anything.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::app::cli::PlanArguments;
use crate::app::{calibrate, devices, logging, print};
use crate::base::Rate;
use crate::channel::plan::{ChannelPlan, LadderPlan};
use crate::channel::worker_process::WorkerProgram;
use crate::config::{self, DevicesPlan, Overrides, Plan};
use crate::media::device::DeviceReport;
use crate::media::{Rung, VideoCodec};
use crate::placement::devices::SourceShape;
use crate::placement::report::{Report, Row};
use crate::placement::{self, Inventory, Load, Machine, Need, Priority};

/// The source that an automatic ladder is planned for.
const USUAL_SOURCE: SourceShape = SourceShape { codec: VideoCodec::H264, width: 1920, height: 1080 };
/// A wildcard's channels are named by their number in a plan.
const WILDCARD: char = '*';

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    /// The configuration is wrong; everything that is wrong with it.
    #[error("{0}")]
    Config(config::Report),
    /// The inventory cannot be read.
    #[error("{path} is no inventory: {cause}; give what headend probe --json or headend plan --print-inventory printed on that machine")]
    Inventory {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// The plan cannot be written down.
    #[error("the plan cannot be printed: {0}")]
    Print(#[from] serde_json::Error),
}

/// Runs the command.
pub fn plan(arguments: &PlanArguments) -> ExitCode {
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => {
            print::err(format_args!("headend: {cause}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Prints; whether every channel has a seat.
fn run(arguments: &PlanArguments) -> Result<bool, PlanError> {
    let plan = match &arguments.config {
        Some(path) => config::load(path, &Overrides::default()),
        None => config::parse("built-in headend.toml", config::embedded_default(), &Overrides::default()),
    };
    let plan = plan.map_err(PlanError::Config)?;
    let inventory = match &arguments.inventory {
        Some(path) => saved(path)?,
        None => this_machine(plan.devices, &plan.state_dir),
    };
    if arguments.print_inventory {
        print::out(format_args!("{}\n", serde_json::to_string_pretty(&inventory)?));
        return Ok(true);
    }
    let report = planned(&plan, &inventory);
    match arguments.json {
        true => print::out(format_args!("{}\n", serde_json::to_string_pretty(&report)?)),
        false => print::out(report.table()),
    }
    Ok(!report.refuses())
}

/// What this machine has. What it was measured to do is what an appliance with this state directory has kept.
pub fn this_machine(plan: DevicesPlan, state_dir: &Path) -> Inventory {
    let nvidia = match WorkerProgram::beside_this_binary("text", &logging::levels("warn")) {
        Ok(program) if plan.nvidia => devices::probed(&program).map_err(|cause| cause.to_string()),
        Ok(_) => Err("devices.nvidia is \"off\"".to_owned()),
        Err(cause) => Err(cause.to_string()),
    };
    let nvidia = nvidia.unwrap_or_else(|cause| DeviceReport { absent: Some(cause), ..DeviceReport::default() });
    let inventory = Inventory { nvidia, ..placement::linux::inventory() };
    let measured = calibrate::kept(state_dir, &inventory);
    Inventory { measured, ..inventory }
}

/// An inventory that was printed elsewhere.
fn saved(path: &Path) -> Result<Inventory, PlanError> {
    let wrong = |cause: String| PlanError::Inventory { path: path.display().to_string(), cause };
    let text = fs::read(path).map_err(|cause| wrong(cause.to_string()))?;
    inventory_of(&text).map_err(wrong)
}

fn inventory_of(text: &[u8]) -> Result<Inventory, String> {
    let mut value: Value = serde_json::from_slice(text).map_err(|cause| cause.to_string())?;
    // What `probe` says holds the inventory, and the GPUs beside it.
    let probed = value.get_mut("inventory").map(Value::take);
    let mut inventory = probed.unwrap_or_else(|| value.clone());
    if let (Some(nvidia), Some(fields)) = (value.get("nvidia"), inventory.as_object_mut()) {
        fields.insert("nvidia".to_owned(), nvidia.clone());
    }
    if inventory.get("cores_allowed").is_none() {
        return Err("it does not say how many cores there are (cores_allowed)".to_owned());
    }
    serde_json::from_value(inventory).map(Inventory::consistent).map_err(|cause| cause.to_string())
}

/// Everybody of a configuration on a machine at once: main channels before best-effort ones, named channels before those of wildcards, in the
/// order of the file.
pub fn planned(plan: &Plan, inventory: &Inventory) -> Report {
    let mut machine = Machine::of(inventory, plan.admission);
    let wild = plan.wildcards.iter().flat_map(|wildcard| {
        let named = move |number| ChannelPlan { name: format!("{}{WILDCARD}{number:02}", wildcard.prefix), ..wildcard.template().clone() };
        (1..=wildcard.max_channels).map(named)
    });
    let mut channels: Vec<ChannelPlan> = plan.channels.iter().cloned().chain(wild).collect();
    let order: Vec<String> = channels.iter().map(|channel| channel.name.clone()).collect();
    channels.sort_by_key(|channel| channel.priority);
    let mut copied = Vec::new();
    for channel in &channels {
        match seat(&mut machine, channel, inventory.cores_allowed) {
            true => {}
            false => copied.push(Row::copied(&channel.name)),
        }
    }
    let mut report = machine.report();
    report.channels.extend(copied);
    report.channels.sort_by_key(|row| order.iter().position(|name| *name == row.channel));
    report
}

/// Asks for a channel's seat as if a publisher had just come; false where it needs none.
fn seat(machine: &mut Machine, channel: &ChannelPlan, cores: usize) -> bool {
    let load = channel.load();
    let (rungs, source) = match &channel.ladder {
        LadderPlan::Copy => return false,
        LadderPlan::Rungs(rungs) => (rungs.clone(), None),
        LadderPlan::Auto => (chosen(machine, channel, load, cores), Some(USUAL_SOURCE)),
    };
    // What is refused is in the machine's report.
    let _ = machine.seat(&channel.name, &Need { wish: &channel.device, source, rungs: &rungs, avoid: &[], load }, &[]);
    true
}

/// An automatic ladder for the usual source: all of it on a device, else what the cores carry.
fn chosen(machine: &Machine, channel: &ChannelPlan, load: Load, cores: usize) -> Vec<Rung> {
    let (width, height) = (USUAL_SOURCE.width, USUAL_SOURCE.height);
    let whole = placement::ladder("standard").unwrap_or_default();
    let need = Need { wish: &channel.device, source: Some(USUAL_SOURCE), rungs: &whole, avoid: &[], load };
    if machine.devices().would_encode(&need) {
        return whole;
    }
    let rate: Rate = load.rate;
    match machine.free_cores(&channel.name, Priority::Main) {
        Some(free) => placement::auto_within((width, height), rate, machine.speed(), free, cores).0,
        None => placement::auto(width, height, rate, cores).0,
    }
}

#[cfg(test)]
mod tests;
