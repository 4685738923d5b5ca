//! Who sits where, in the words of `headend plan`.

use crate::channel::seats::SeatDesk;
use crate::channel::status::Board;
use crate::placement::report::{Report, Row};

/// The machine as it is now, with the channels that have not asked for a seat.
pub fn live(board: &Board, desk: &SeatDesk) -> Report {
    let mut report = desk.report();
    let all = board.all();
    let idle = all.iter().filter(|status| !report.channels.iter().any(|row| row.channel == status.name));
    let idle: Vec<Row> = idle.map(|status| Row::idle(&status.name)).collect();
    report.channels.extend(idle);
    report.channels.sort_by(|one, other| one.channel.cmp(&other.channel));
    report
}
