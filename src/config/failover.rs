//! When a feed is left and returned to, and what pictures and sound are watched for.

use std::time::Duration;

use crate::base::Ticks;
use crate::channel::failover::FailoverPlan;
use crate::channel::plan::Watch;

use super::scalar::Complaint;
use super::sink::{Field, Sink};
use super::timing::within;
use super::written_channel::WrittenFailover;

/// A still or black picture this long is no part of a programme as a rule, and viewers begin to complain.
const FREEZE: Ticks = Ticks::from_millis(10_000);
const BLACK: Ticks = Ticks::from_millis(10_000);
/// Pauses in speech and music are longer than fades to black.
const SILENCE: Ticks = Ticks::from_millis(20_000);

/// How often the page gets a new picture of the input.
const THUMBNAILS: Ticks = Ticks::from_millis(5_000);

const HOUR: Ticks = Ticks::from_millis(3_600_000);
const SECOND: Ticks = Ticks::from_millis(1_000);

/// When the feed changes.
pub fn failover(written: &WrittenFailover, sink: &mut Sink) -> FailoverPlan {
    let default = FailoverPlan::default();
    let (least, most) = (Ticks::from_millis(200), Ticks::from_millis(60_000));
    let after = written.after.clone().checked(sink, |span| within(*span, least, most));
    let return_after = ranged(&written.return_after, SECOND, HOUR, sink);
    FailoverPlan {
        after: after.value().map_or(default.after, |span| Duration::from(*span)),
        return_after: return_after.value().map_or(default.return_after, |span| span.map(Duration::from)),
    }
}

/// What is looked for. With `copied` pictures nothing is: nobody decodes them.
pub fn watch(written: &WrittenFailover, copied: bool, sink: &mut Sink) -> Watch {
    let mut after =
        |field: &Field<Option<Ticks>>, default: Ticks| ranged(field, SECOND, Ticks::from_millis(600_000), sink).or(Some(default));
    let watch = Watch {
        freeze_after: after(&written.freeze, FREEZE),
        black_after: after(&written.black, BLACK),
        silence_after: after(&written.silence, SILENCE),
    };
    if copied { Watch::default() } else { watch }
}

/// How often a picture of the input is made. With `copied` pictures none is.
pub fn thumbnails(written: &Field<Option<Ticks>>, copied: bool, sink: &mut Sink) -> Option<Ticks> {
    let every = ranged(written, SECOND, HOUR, sink).or(Some(THUMBNAILS));
    every.filter(|_| !copied)
}

fn ranged(field: &Field<Option<Ticks>>, least: Ticks, most: Ticks, sink: &mut Sink) -> Field<Option<Ticks>> {
    let rule = |span: &Option<Ticks>| -> Result<(), Complaint> { span.map_or(Ok(()), |span| within(span, least, most)) };
    field.clone().checked(sink, rule)
}
