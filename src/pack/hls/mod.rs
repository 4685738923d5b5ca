//! HLS playlists (RFC 8216 and its second edition), written as text.

mod media;
mod multivariant;

pub use media::{iframe_playlist, media_playlist};
pub use multivariant::multivariant;

use super::epoch::Tree;
use super::window::Programme;

/// Every playlist that is published now, with whether it is an I-frame playlist.
///
/// One whose rendition is no longer configured stays while it lists a segment.
pub fn playlists(programme: &Programme) -> Vec<(Tree, String, bool)> {
    let mut all = Vec::new();
    let newest = programme.newest().map(|epoch| epoch.id);
    for epoch in programme.epochs.iter().rev() {
        for (index, stream) in epoch.streams.iter().enumerate() {
            let listed = || programme.entries.iter().any(|entry| entry.epoch == epoch.id && matches!(entry.made.get(index), Some(Some(_))));
            let known = all.iter().any(|(tree, name, _)| (*tree, name) == (stream.tree, &stream.track.name));
            if !known && (Some(epoch.id) == newest || listed()) {
                all.push((stream.tree, stream.track.name.clone(), false));
                if stream.is_video() {
                    all.push((stream.tree, stream.track.name.clone(), true));
                }
            }
        }
    }
    all
}
