//! One packet: its header and adaptation field (ISO/IEC 13818-1 clauses 2.4.3.2 to 2.4.3.5).

/// Bytes of a packet.
pub(super) const SIZE: usize = 188;
/// The first byte of a packet.
pub(super) const SYNC: u8 = 0x47;
/// The packet identifier of packets that carry nothing.
pub(super) const NULL_PID: u16 = 0x1fff;

/// An adaptation field that does not fit its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// payload_unit_start_indicator.
    pub(super) start: bool,
    pub(super) continuity: u8,
    /// discontinuity_indicator.
    pub(super) discontinuity: bool,
    /// random_access_indicator.
    pub(super) random_access: bool,
    /// program_clock_reference_base: 33 bits of 90 kHz.
    pub(super) pcr: Option<u64>,
    /// Not empty where the packet has one.
    pub(super) payload: Option<&'a [u8]>,
}

/// The packet identifier.
pub(super) fn pid(packet: &[u8; SIZE]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// transport_error_indicator: the sender's side of this hop knows that the packet is damaged.
pub(super) fn has_error(packet: &[u8; SIZE]) -> bool {
    packet[1] & 0x80 != 0
}

/// transport_scrambling_control says that the payload is encrypted.
pub(super) fn is_scrambled(packet: &[u8; SIZE]) -> bool {
    packet[3] & 0xc0 != 0
}

impl Packet<'_> {
    /// Reads a packet.
    pub(super) fn parse(packet: &[u8; SIZE]) -> Result<Packet<'_>, Damaged> {
        let mut parsed = Packet {
            start: packet[1] & 0x40 != 0,
            continuity: packet[3] & 0x0f,
            discontinuity: false,
            random_access: false,
            pcr: None,
            payload: None,
        };
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let body = &packet[4..];
        if !has_field {
            parsed.payload = has_payload.then_some(body);
            return Ok(parsed);
        }
        let (&length, body) = body.split_first().ok_or(Damaged)?;
        let (field, payload) = body.split_at_checked(length.into()).ok_or(Damaged)?;
        if has_payload == payload.is_empty() {
            return Err(Damaged);
        }
        parsed.payload = has_payload.then_some(payload);
        let Some((&flags, fields)) = field.split_first() else { return Ok(parsed) };
        parsed.discontinuity = flags & 0x80 != 0;
        parsed.random_access = flags & 0x40 != 0;
        if flags & 0x10 != 0 {
            let &[a, b, c, d, e, _] = fields.first_chunk::<6>().ok_or(Damaged)?;
            parsed.pcr = Some(u64::from(u32::from_be_bytes([a, b, c, d])) << 1 | u64::from(e >> 7));
        }
        Ok(parsed)
    }
}

/// The continuity_counter of one packet identifier (clause 2.4.3.3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Continuity {
    last: Option<(u8, u64)>,
    repeated: bool,
}

/// How a packet with payload follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// As it should, or announced as a discontinuity, or there is nothing to follow.
    Next,
    /// The same packet again, which the standard allows once.
    Duplicate,
    /// Packets are missing in between.
    Gap,
}

impl Continuity {
    /// Takes the next packet with payload.
    pub(super) fn follow(&mut self, packet: &Packet<'_>, payload: &[u8]) -> Following {
        let mark = mark(payload);
        let Some((counter, last_mark)) = self.last.replace((packet.continuity, mark)) else { return Following::Next };
        let again = packet.continuity == counter && mark == last_mark;
        let repeated = std::mem::replace(&mut self.repeated, again);
        match packet.continuity.wrapping_sub(counter) & 0x0f {
            0 if again && !repeated => Following::Duplicate,
            1 => Following::Next,
            _ if packet.discontinuity => Following::Next,
            _ => Following::Gap,
        }
    }
}

/// What tells a repeated payload from another one: its end, which stuffing and headers do not fill.
fn mark(payload: &[u8]) -> u64 {
    payload.last_chunk::<8>().map_or(payload.len() as u64, |last| u64::from_be_bytes(*last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(control: u8, adaptation: &[u8]) -> [u8; SIZE] {
        let mut packet = [0xaa; SIZE];
        packet[..4].copy_from_slice(&[SYNC, 0x41, 0x00, control]);
        packet[4..4 + adaptation.len()].copy_from_slice(adaptation);
        packet
    }

    #[test]
    fn a_clock_reference_and_flags_are_read() {
        let bytes = packet(0x35, &[7, 0xd0, 0xff, 0xff, 0xff, 0xff, 0x80, 0]);
        let parsed = Packet::parse(&bytes).unwrap();
        assert_eq!((pid(&bytes), parsed.start, parsed.continuity), (0x100, true, 5));
        assert_eq!((parsed.discontinuity, parsed.random_access, parsed.pcr), (true, true, Some((1 << 33) - 1)));
        assert_eq!(parsed.payload.map(<[u8]>::len), Some(176));
    }

    #[test]
    fn an_adaptation_field_that_does_not_fit_is_damage() {
        assert_eq!(Packet::parse(&packet(0x30, &[184])), Err(Damaged), "longer than the packet");
        assert_eq!(Packet::parse(&packet(0x30, &[183])), Err(Damaged), "no room for the payload");
        assert_eq!(Packet::parse(&packet(0x20, &[100])), Err(Damaged), "room that nothing fills");
        assert_eq!(Packet::parse(&packet(0x30, &[2, 0x10])), Err(Damaged), "no room for the clock");
        assert_eq!(Packet::parse(&packet(0x30, &[0])).unwrap().payload.map(<[u8]>::len), Some(183));
        assert_eq!(Packet::parse(&packet(0x20, &[183, 0])).unwrap().payload, None);
    }

    #[test]
    fn packets_follow_repeat_once_or_are_missing() {
        let mut continuity = Continuity::default();
        let mut follow = |counter: u8, byte: u8| {
            let mut bytes = packet(0x10 | counter, &[]);
            bytes[187] = byte;
            let parsed = Packet::parse(&bytes).unwrap();
            continuity.follow(&parsed, parsed.payload.unwrap())
        };
        let expected =
            [(14, 1), (15, 2), (0, 3), (0, 3), (1, 4), (3, 5), (3, 5), (3, 5), (3, 6)].map(|(counter, byte)| follow(counter, byte));
        use Following::{Duplicate, Gap, Next};
        assert_eq!(expected, [Next, Next, Next, Duplicate, Next, Gap, Duplicate, Gap, Gap]);
    }
}
