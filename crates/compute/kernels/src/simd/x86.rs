//! What the implementations for x86-64 share.

/// Methods that are one instruction.
macro_rules! instructions {
    ($($name:ident($($operand:ident),*) = $intrinsic:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, $($operand: Self::V),*) -> Self::V {
            // SAFETY: the token exists because the processor has the instructions.
            unsafe { $intrinsic($($operand),*) }
        }
    )*};
}

/// Byte order that drops every fourth byte of 16.
pub(super) static DROP_FOURTH: [i8; 16] = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1];

pub(super) use instructions;
