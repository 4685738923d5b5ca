//! Stream keys of the running plan, and other ones in their place.

use super::Reloader;
use super::channels::check_open;
use crate::api::control::NotChanged;
use crate::api::keys::{FeedKey, KeyOrigin};
use crate::app::stream_keys::{keys_of, with_key};
use crate::app::{channel_files, keys as kept_keys};
use crate::config;

impl Reloader {
    pub(super) async fn keys_of_channel(&self, name: String) -> Result<Vec<FeedKey>, NotChanged> {
        let running = self.running.lock().await;
        keys_of(&running.plan, &running.parts.files, &running.parts.keys, &name).ok_or(NotChanged::Unknown(name))
    }

    pub(super) async fn make_key(&self, name: String, feed: String) -> Result<FeedKey, NotChanged> {
        let mut running = self.running().await?;
        check_open(&running)?;
        let before =
            keys_of(&running.plan, &running.parts.files, &running.parts.keys, &name).ok_or_else(|| NotChanged::Unknown(name.clone()))?;
        let place = before.iter().position(|key| key.feed == feed);
        let place = place.ok_or_else(|| NotChanged::Feed(before.iter().map(|key| key.feed.clone()).collect()))?;
        let state_dir = running.plan.state_dir.clone();
        let (mut parts, key) = (running.parts.clone(), config::random_key());
        let overlay = parts.files.overlays.iter_mut().find(|overlay| overlay.channel == name);
        let is_generated = before.get(place).is_some_and(|key| key.origin == KeyOrigin::Generated);
        match overlay {
            Some(overlay) => {
                let index = running.plan.channels.iter().find(|channel| channel.name == name);
                let index = index.and_then(|channel| channel.feeds.iter().position(|one| one.name == feed)).unwrap_or(0);
                overlay.text = with_key(&overlay.text, index, place == 0, &key).map_err(NotChanged::Config)?;
                let overlay = overlay.clone();
                self.take(&mut running, parts, false, move || channel_files::write(&state_dir, &overlay)).await?;
            }
            None if is_generated => {
                parts.keys.insert(name.clone(), key);
                let kept = parts.keys.clone();
                self.take(&mut running, parts, false, move || kept_keys::write(&state_dir, &kept)).await?;
            }
            None => return Err(NotChanged::KeyInFile(name)),
        }
        let after = keys_of(&running.plan, &running.parts.files, &running.parts.keys, &name);
        let made = after.and_then(|keys| keys.into_iter().find(|key| key.feed == feed));
        made.ok_or(NotChanged::Unknown(name))
    }
}
