//! A few pieces in fifteen bytes: the whole past of most slots.
//!
//! Neighbours: `log` keeps one for each slot beside which there is no more. A part of its own because a million slots have
//! two or three pieces each, and an allocation for them would take more than all that they say.

use super::log::{FRESH, Fresh};
use super::stretch::Piece;

/// Each piece as its length and its value, both one more than they are, in LEB128; zero is the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Packed([u8; 15]);

impl Packed {
    /// None where they take more room than there is, or are more than [`FRESH`].
    pub(super) fn of(pieces: impl IntoIterator<Item = Piece>) -> Option<Self> {
        let mut packed = Self::default();
        let mut rest = packed.0.iter_mut();
        for (place, piece) in pieces.into_iter().enumerate() {
            // Of the value that stands for none it is zero.
            for mut number in [u64::from(piece.length) + 1, u64::from(piece.value.wrapping_add(1))] {
                while number >= 0x80 {
                    *rest.next()? = (number & 0x7f) as u8 | 0x80;
                    number >>= 7;
                }
                *rest.next()? = number as u8;
            }
            if place == FRESH {
                return None;
            }
        }
        Some(packed)
    }

    pub(super) fn pieces(self) -> Fresh {
        let (mut rest, mut pieces) = (self.0.iter(), Fresh::default());
        let mut number = || {
            let (mut number, mut shift) = (0_u64, 0);
            for byte in rest.by_ref() {
                number |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            number
        };
        while let Some(length) = number().checked_sub(1) {
            pieces.add(Piece { length: length as u32, value: (number() as u32).wrapping_sub(1) });
        }
        pieces
    }

    /// Something of it.
    pub(super) fn glance(&self) -> i64 {
        self.0[0].into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::signals::known::NONE;

    fn piece() -> impl Strategy<Value = Piece> {
        let value = prop_oneof![4 => 0_u32..9, 1 => Just(NONE), 1 => Just(NONE - 1), 1 => any::<u32>()];
        let length = prop_oneof![4 => 0_u32..9, 1 => Just(u32::MAX), 2 => any::<u32>()];
        (length, value).prop_map(|(length, value)| Piece { length, value })
    }

    proptest! {
        #[test]
        fn pieces_come_back(pieces in prop::collection::vec(piece(), 0..=FRESH + 1)) {
            let size = |number: u64| (64 - (number | 1).leading_zeros()).div_ceil(7);
            let sizes = |piece: &Piece| {
                size(u64::from(piece.length) + 1) + size(u64::from(piece.value.wrapping_add(1)))
            };
            let room = pieces.len() <= FRESH && pieces.iter().map(sizes).sum::<u32>() <= 15;
            let packed = Packed::of(pieces.iter().copied());
            prop_assert_eq!(packed.is_some(), room);
            prop_assert_eq!(packed.map(|packed| packed.pieces().to_vec()), room.then_some(pieces));
        }
    }
}
