//! RTP around a transport stream: the header comes off, the sequence is watched (RFC 3550 section 5.1, RFC 2250 section 2).

const SYNC: u8 = 0x47;
/// A step back that is larger than this is a sender that started over.
const REORDERED: u16 = 3000;

/// What a datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datagram<'a> {
    /// Packets of a transport stream.
    Plain(&'a [u8]),
    /// The same in RTP.
    Rtp { sequence: u16, payload: &'a [u8] },
    /// Neither.
    Other,
}

/// Reads a datagram.
pub(super) fn read(datagram: &[u8]) -> Datagram<'_> {
    match datagram.first() {
        Some(&SYNC) => Datagram::Plain(datagram),
        Some(first) if first >> 6 == 2 => rtp(datagram).unwrap_or(Datagram::Other),
        _ => Datagram::Other,
    }
}

fn rtp(datagram: &[u8]) -> Option<Datagram<'_>> {
    let (&[first, _, high, low, ..], rest) = datagram.split_first_chunk::<12>()?;
    let mut payload = rest.get(usize::from(first & 0x0f) * 4..)?;
    if first & 0x10 != 0 {
        let (&[_, _, high, low], rest) = payload.split_first_chunk::<4>()?;
        payload = rest.get(usize::from(u16::from_be_bytes([high, low])) * 4..)?;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*payload.last()?);
        payload = payload.get(..payload.len().checked_sub(padding)?)?;
    }
    let is_transport = payload.first() == Some(&SYNC);
    is_transport.then_some(Datagram::Rtp { sequence: u16::from_be_bytes([high, low]), payload })
}

/// The sequence numbers of one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    last: Option<u16>,
}

/// How a datagram follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Behind the last one, with so many missing in between.
    Next(u16),
    /// Before or with the last one: of no use any more.
    Late,
}

impl Sequence {
    /// Takes the next number.
    pub(super) fn follow(&mut self, sequence: u16) -> Order {
        let Some(last) = self.last else {
            self.last = Some(sequence);
            return Order::Next(0);
        };
        let step = sequence.wrapping_sub(last);
        let back = last.wrapping_sub(sequence);
        if back < REORDERED {
            return Order::Late;
        }
        self.last = Some(sequence);
        Order::Next(if step < u16::MAX / 2 { step - 1 } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(first: u8, middle: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[first, 33, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0][..], middle, payload].concat()
    }

    #[test]
    fn headers_of_every_length_come_off() {
        let expected = Datagram::Rtp { sequence: 0x102, payload: &[SYNC, 9, 9] };
        assert_eq!(read(&packet(0x80, &[], &[SYNC, 9, 9])), expected);
        assert_eq!(read(&packet(0x82, &[1; 8], &[SYNC, 9, 9])), expected, "contributing sources");
        assert_eq!(read(&packet(0x90, &[0, 0, 0, 1, 7, 7, 7, 7], &[SYNC, 9, 9])), expected, "an extension");
        assert_eq!(read(&packet(0xa0, &[], &[SYNC, 9, 9, 0, 0, 3])), expected, "padding");
        assert_eq!(read(&[SYNC, 1]), Datagram::Plain(&[SYNC, 1]));
    }

    #[test]
    fn what_is_neither_is_told() {
        for datagram in [&[][..], &[0x80, 33], &packet(0x80, &[], &[1, 2]), &packet(0xa0, &[], &[SYNC, 200]), &packet(0x9f, &[], &[SYNC])] {
            assert_eq!(read(datagram), Datagram::Other);
        }
    }

    #[test]
    fn gaps_are_counted_over_the_wrap_and_late_ones_left_out() {
        let mut sequence = Sequence::default();
        let seen = [65_533, 65_534, 1, 65_535, 1, 2, 30_002, 100].map(|number| sequence.follow(number));
        use Order::{Late, Next};
        assert_eq!(seen, [Next(0), Next(0), Next(2), Late, Late, Next(0), Next(29_999), Next(0)]);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..60)) {
            read(&data);
            read(&[&[0xbf][..], &data].concat());
        }
    }
}
