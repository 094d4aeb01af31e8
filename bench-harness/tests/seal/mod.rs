//! Values as the harness makes them: the 12 bytes of id, version and seal before the payload.

const HEADER_BYTES: usize = 12;
const PAYLOAD_BYTES: usize = 8;
/// The weight of the first eight bytes of a payload.
const WEIGHT: u64 = 0x9e37_79b9_7f4a_7c15;

/// The first bytes of `value` with a seal that is right for them: only its length shows that there were more.
pub(crate) fn shortened(value: &[u8]) -> Vec<u8> {
    let mut short = value[..HEADER_BYTES + PAYLOAD_BYTES].to_vec();
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let digest =
        mix(PAYLOAD_BYTES as u64).wrapping_add(word(&short[HEADER_BYTES..]).wrapping_mul(WEIGHT));
    // The id is the upper half.
    let identity = word(&short[..8]).rotate_left(32);
    let seal = (mix(digest ^ identity.wrapping_mul(WEIGHT)) >> 32) as u32;
    short[8..HEADER_BYTES].copy_from_slice(&seal.to_le_bytes());
    short
}

/// `SplitMix64`.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
