//! How sample values mean colours.

use serde::{Deserialize, Serialize};

/// Colour description of pictures, in the code points of ITU-T H.273, which H.264, HEVC and AV1 share. 2 is "unspecified".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Color {
    /// ColourPrimaries: 1 BT.709, 9 BT.2020 ...
    pub primaries: u8,
    /// TransferCharacteristics: 1 BT.709, 16 PQ, 18 HLG ...
    pub transfer: u8,
    /// MatrixCoefficients: 1 BT.709, 6 BT.601, 9 BT.2020 ...
    pub matrix: u8,
    /// Samples use the full range and not the video range.
    pub full_range: bool,
}

impl Default for Color {
    /// Nothing specified, video range: what a stream without colour description means.
    fn default() -> Color {
        Color { primaries: 2, transfer: 2, matrix: 2, full_range: false }
    }
}

impl Color {
    /// Whether the transfer is one of high dynamic range (PQ or HLG).
    pub fn is_hdr(&self) -> bool {
        matches!(self.transfer, 16 | 18)
    }
}
