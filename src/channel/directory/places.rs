//! The feeds of all channels as they are meant, connected or not.

use std::net::SocketAddr;

use super::Directory;
use crate::channel::plan::FeedPlan;

/// Who begins the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// Somebody pushes it.
    Publish,
    /// It is fetched or received by headend itself.
    Pull,
}

/// A feed's place in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPlace {
    /// The channel.
    pub channel: String,
    /// The feed's name.
    pub name: String,
    /// Who begins the connection.
    pub kind: FeedKind,
    /// Who delivers it now.
    pub peer: Option<SocketAddr>,
}

impl Directory {
    /// The feeds of the channels that run, or of one of them: by channel, then by preference.
    pub fn feeds(&self, channel: Option<&str>) -> Vec<FeedPlace> {
        let entries = self.entries();
        let wanted = entries.iter().filter(|(name, _)| channel.is_none_or(|channel| channel == *name));
        let places = wanted.flat_map(|(name, entry)| {
            entry.plan.feeds.iter().zip(&entry.sources).map(|(feed, source)| FeedPlace {
                channel: name.clone(),
                name: feed.name.clone(),
                kind: kind(feed),
                peer: source.as_ref().filter(|source| source.is_here()).map(|source| source.peer),
            })
        });
        places.collect()
    }
}

fn kind(feed: &FeedPlan) -> FeedKind {
    if feed.key().is_some() { FeedKind::Publish } else { FeedKind::Pull }
}
