//! How much less is made of a rung than its settings say, while the machine cannot carry all of it.

use serde::{Deserialize, Serialize};

/// How much less; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Easing {
    /// The preset is so many faster than the rung's own, at most the fastest. Parameter sets stay the same bytes; where an encoder cannot
    /// do that, the preset stays too.
    pub faster: u8,
    /// Every other slot is left out.
    pub halved: bool,
    /// Nothing is made.
    pub off: bool,
}

impl Easing {
    const HALVED: u32 = 1 << 8;
    const OFF: u32 = 1 << 9;

    /// In one word, to be shared between threads.
    pub fn to_word(self) -> u32 {
        u32::from(self.faster) | if self.halved { Easing::HALVED } else { 0 } | if self.off { Easing::OFF } else { 0 }
    }

    /// Of [`Easing::to_word`].
    pub fn from_word(word: u32) -> Easing {
        Easing { faster: word as u8, halved: word & Easing::HALVED != 0, off: word & Easing::OFF != 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_holds_all_of_it(faster: u8, halved: bool, off: bool) {
            let easing = Easing { faster, halved, off };
            prop_assert_eq!(Easing::from_word(easing.to_word()), easing);
        }
    }
}
