//! Numbers in decimal, without a branch that depends on the digits of a long one.
//!
//! The loop that is measured writes a key for each operation. So eight digits are made at once, in the bytes of one word: a
//! number is split into halves of four digits, these into pairs, and these into single digits. Each step divides all parts of
//! the word by one multiplication (Paul Khuong, "How to print integers really fast", 2017). The words go straight to their
//! place: reading bytes again that were just stored in other widths would wait for these stores.

/// Digits of the largest 64-bit number.
pub(crate) const LONGEST_DECIMAL: usize = 20;
/// Numbers with fewer digits are written one digit at a time, unless they are padded to as many.
const FAST_DIGITS: usize = 16;
/// The least number with more digits than that.
const FAST_END: u64 = 10_u64.pow(FAST_DIGITS as u32);
/// The least number with more than eight digits.
const NINE_DIGITS: u64 = 10_u64.pow(8);
/// The digit 0 in each byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Appends `number` in decimal, padded with zeros to `width` digits, at most 20.
pub(crate) fn write_decimal(number: u64, width: usize, text: &mut Vec<u8>) {
    debug_assert!(width <= LONGEST_DECIMAL, "{width} digits are room for every number");
    if number < FAST_END && width < FAST_DIGITS {
        return write_short(number, width, text);
    }
    // Four digits, of which some may be leading zeros, and twice eight.
    let first = eight_digits(number / FAST_END) >> 32;
    let middle = eight_digits(number % FAST_END / NINE_DIGITS);
    let last = eight_digits(number % NINE_DIGITS);
    let leading_zeros = (first.trailing_zeros() / 8) as usize;
    let skipped = leading_zeros.min(LONGEST_DECIMAL - width.max(FAST_DIGITS));
    let start = text.len();
    text.resize(start + LONGEST_DECIMAL, 0);
    let digits = &mut text[start..];
    // Each word overwrites the bytes of the one before it that are too many.
    digits[..8].copy_from_slice(&((first | ZEROS) >> (8 * skipped)).to_le_bytes());
    digits[4 - skipped..12 - skipped].copy_from_slice(&(middle | ZEROS).to_le_bytes());
    digits[12 - skipped..20 - skipped].copy_from_slice(&(last | ZEROS).to_le_bytes());
    text.truncate(start + LONGEST_DECIMAL - skipped);
    debug_assert_eq!(
        text.last(),
        Some(&(b'0' + (number % 10) as u8)),
        "it ends with its last digit"
    );
}

/// Appends `number`, which has at most sixteen digits, one digit at a time.
#[cold]
fn write_short(mut number: u64, width: usize, text: &mut Vec<u8>) {
    let mut digits = [b'0'; FAST_DIGITS];
    let mut at = FAST_DIGITS;
    while number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text.extend_from_slice(&digits[at.min(FAST_DIGITS - width.max(1))..]);
}

/// The digits of a number below 10^8 as the bytes of a word, the first digit in the lowest byte.
fn eight_digits(number: u64) -> u64 {
    debug_assert!(number < NINE_DIGITS, "{number} has eight digits");
    // Two numbers of four digits, in halves of 32 bits.
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    // x * 5,243 / 2^19 is x / 100 for x below 10^4. Four numbers of two digits, in 16 bits each.
    let hundreds = ((fours * 5_243) >> 19) & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    // x * 103 / 2^10 is x / 10 for x below 100.
    let tens = ((twos * 103) >> 10) & 0xf_000f_000f_000f;
    tens | (twos - tens * 10) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: u64, width: usize) {
        let mut text = b"user".to_vec();
        write_decimal(number, width, &mut text);
        assert_eq!(text, format!("user{number:0width$}").as_bytes());
    }

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        let powers = (0..20).map(|digits| 10_u64.pow(digits));
        let borders = powers.flat_map(|power| [power - 1, power, power + 1, power.wrapping_mul(9)]);
        for number in borders.chain([0, 12_345, u64::MAX / 7, u64::MAX - 1, u64::MAX]) {
            for width in [0, 1, 2, 16, 20] {
                check(number, width);
            }
        }
    }

    #[test]
    fn every_group_of_four_digits_is_right_in_every_place() {
        for group in 0..10_000 {
            for place in [1, 10_u64.pow(4), 10_u64.pow(8), 10_u64.pow(12)] {
                check(group * place, 0);
                check(10_u64.pow(16) + group * place, 16);
            }
        }
        (0..1845).for_each(|group| check(group * 10_u64.pow(16), 0));
    }
}
