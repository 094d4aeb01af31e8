//! Reading the golden files: bytes in hexadecimal, one unit a line. They are never edited; a new format adds a file.

/// The lines of a golden file.
pub(crate) fn lines<const N: usize>(file: &str) -> [Vec<u8>; N] {
    let bytes = |line: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        (0..line.len()).step_by(2).map(byte).collect()
    };
    let lines: Vec<Vec<u8>> = file.lines().map(bytes).collect();
    lines.try_into().unwrap()
}
