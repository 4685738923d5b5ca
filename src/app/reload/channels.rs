//! Channels that are made, changed, removed, stopped and started one at a time. Nothing else changes with them: the configuration file is not
//! read for it.

use std::collections::BTreeSet;

use super::{Reloader, Running, without};
use crate::api::control::{NotChanged, Reloaded};
use crate::app::channel_files::{self, LONGEST_TEXT};
use crate::app::feeds::srt_calls;
use crate::config::Plan;

impl Reloader {
    pub(super) async fn put(&self, name: String, text: String, replace: bool) -> Result<Reloaded, NotChanged> {
        let mut running = self.running().await?;
        check_open(&running)?;
        if text.len() > LONGEST_TEXT {
            return Err(NotChanged::Config(format!("the channel is {} bytes of text, and may be {LONGEST_TEXT}", text.len())));
        }
        let state_dir = running.plan.state_dir.clone();
        let is_overlay = running.parts.files.overlays.iter().any(|overlay| overlay.channel == name);
        let is_there = running.plan.channels.iter().any(|channel| channel.name == name);
        match (is_there, is_overlay, replace) {
            (true, _, false) => return Err(NotChanged::Exists(name)),
            (true, false, true) => return Err(NotChanged::InFile(name)),
            (false, _, true) => return Err(NotChanged::Unknown(name)),
            _ => {}
        }
        let overlay = channel_files::overlay(&state_dir, &name, text);
        let mut parts = running.parts.clone();
        parts.files.overlays.retain(|overlay| overlay.channel != name);
        parts.files.overlays.push(overlay.clone());
        self.take(&mut running, parts, false, move || channel_files::write(&state_dir, &overlay)).await
    }

    pub(super) async fn remove(&self, name: String) -> Result<Reloaded, NotChanged> {
        let mut running = self.running().await?;
        check_open(&running)?;
        let state_dir = running.plan.state_dir.clone();
        let mut parts = running.parts.clone();
        parts.files.overlays.retain(|overlay| overlay.channel != name);
        if parts.files.overlays.len() == running.parts.files.overlays.len() {
            let is_there = running.plan.channels.iter().any(|channel| channel.name == name);
            return Err(if is_there { NotChanged::InFile(name) } else { NotChanged::Unknown(name) });
        }
        parts.files.stopped.remove(&name);
        self.take(&mut running, parts, false, move || channel_files::remove(&state_dir, &name)).await
    }

    pub(super) async fn run(&self, name: String, runs: bool) -> Result<(), NotChanged> {
        let mut running = self.running().await?;
        check_open(&running)?;
        self.let_run(&mut running, name, runs).await
    }

    /// Starts or stops a channel of what runs, and keeps that.
    pub(super) async fn let_run(&self, running: &mut Running, name: String, runs: bool) -> Result<(), NotChanged> {
        if running.plan.channels.iter().all(|channel| channel.name != name) {
            return Err(NotChanged::Unknown(name));
        }
        let (state_dir, kept_name) = (running.plan.state_dir.clone(), name.clone());
        let keep = move || channel_files::set_stopped(&state_dir, &kept_name, !runs);
        let kept = tokio::task::spawn_blocking(keep).await.map_err(|cause| NotChanged::State(cause.to_string()))?;
        kept.map_err(|cause| NotChanged::State(cause.to_string()))?;
        let directory = &self.ground.directory;
        let done = match runs {
            true => directory.resume(&name),
            false => directory.halt(&name),
        };
        done.map_err(|_| NotChanged::Unknown(name.clone()))?;
        match runs {
            true => drop(running.parts.files.stopped.remove(&name)),
            false => drop(running.parts.files.stopped.insert(name)),
        }
        let plan = without(&running.plan, &running.parts.files.stopped);
        if let Some(srt) = &running.srt {
            srt.call(srt_calls(&plan, directory));
        }
        running.datagrams.follow(&plan, directory);
        Ok(())
    }
}

pub(super) fn check_open(running: &Running) -> Result<(), NotChanged> {
    running.plan.api_changes.then_some(()).ok_or(NotChanged::Closed)
}

/// Marks of channels that were there once and are made anew: they stop nobody.
pub(super) fn outdated_marks(running: &Plan, wanted: &Plan, stopped: &BTreeSet<String>) -> Vec<String> {
    let is_in = |plan: &Plan, name: &String| plan.channels.iter().any(|channel| channel.name == *name);
    stopped.iter().filter(|name| is_in(wanted, name) && !is_in(running, name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    #[test]
    fn a_mark_stops_the_channel_that_it_was_made_for_and_not_the_next_one_of_its_name() {
        let plan = |names: &[&str]| {
            let text: String = names.iter().map(|name| format!("[[channel]]\nname = \"{name}\"\n")).collect();
            parse("a.toml", &text, &Overrides::default()).unwrap()
        };
        let stopped: BTreeSet<String> = ["stays", "made", "gone"].map(str::to_owned).into();
        assert_eq!(outdated_marks(&plan(&["stays", "other"]), &plan(&["stays", "made"]), &stopped), ["made"]);
    }
}
