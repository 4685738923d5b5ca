//! The configuration as meant: every default filled in, every unit converted, every rule kept.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::Ticks;
use crate::base::tls::PairFiles;
use crate::channel::plan::ChannelPlan;
use crate::placement::Admission;
use crate::placement::PinningWish;

use super::access::AccessPlan;
use super::devices::DevicesPlan;

/// What one run of the appliance is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where viewers, the API and the page are served.
    pub http: SocketAddr,
    /// Where RTMP publishers come, if they may.
    pub rtmp: Option<SocketAddr>,
    /// The same as `http` through TLS, if wanted.
    pub https: Option<SocketAddr>,
    /// The same as `rtmp` through TLS, if they may.
    pub rtmps: Option<SocketAddr>,
    /// The certificates of both, the default one first.
    pub certificates: Vec<PairFiles>,
    /// Who may use the API.
    pub access: AccessPlan,
    /// Where SRT callers come (UDP), if they may.
    pub srt: Option<SocketAddr>,
    /// How long the SRT listener waits for what a network has lost; the larger of both ends' wishes holds.
    pub srt_latency: Ticks,
    /// The devices of the machine.
    pub devices: DevicesPlan,
    /// Which cores each part runs on.
    pub pinning: PinningWish,
    /// What becomes of a main channel for which the cores or the memory do not suffice.
    pub admission: Admission,
    /// Whether the machine is measured, once.
    pub calibration: bool,
    /// Where the few bytes live that survive a restart.
    pub state_dir: PathBuf,
    /// Whether channels may be made, changed, removed, stopped and started over the API.
    pub api_changes: bool,
    /// The channels, in the order of the file; names and keys differ.
    pub channels: Vec<ChannelPlan>,
    /// The wildcards, in the order of the file; prefixes differ.
    pub wildcards: Vec<WildcardPlan>,
    /// Names of the channels whose key was made for this run ([`super::Overrides::generate_keys`]), so that it must be shown to the operator.
    pub generated_keys: Vec<String>,
}

/// Channels that come into being when somebody publishes to a stream name that begins like this.
#[derive(Clone, Debug, PartialEq)]
pub struct WildcardPlan {
    /// What the stream names begin with; empty for every name.
    pub prefix: String,
    /// How many channels of this wildcard may be open at a time.
    pub max_channels: usize,
    /// What such a channel is like; its name and key are those of the stream.
    pub(super) template: ChannelPlan,
}

impl Plan {
    /// Whether nobody but this machine can publish, so that a channel's name may be its key.
    pub fn publishes_locally(&self) -> bool {
        [self.rtmp, self.rtmps, self.srt].into_iter().flatten().all(|address| address.ip().to_canonical().is_loopback())
    }
}

impl WildcardPlan {
    /// How the wildcard is written: `studio-*`.
    pub fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// What its channels are like; name and key are empty.
    pub fn template(&self) -> &ChannelPlan {
        &self.template
    }
}
