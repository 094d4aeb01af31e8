//! Bugs that a suite found once, each by its replay line.

use torture::replay;

use crate::subject::BitcaskSubject;

fn passes(line: &str) {
    let outcome = replay(&BitcaskSubject::default(), line);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Recovery numbered the files before it took the empty ones out, and the table after.
#[test]
fn an_empty_file_in_the_middle_does_not_shift_the_numbers_of_the_others() {
    passes(
        "faults subject=bitcask options=0 plan=eio@60 sync=keeps-new script=p51.255/b p12.20+p51.63/b job \
         p26.128/b p12.511/n p26.256/s p32.2/n p32.0/s p26.60/b p51.511/n p51.513/b p51.2049/b d32+p12.31/s \
         p26.2049/n d12/s p12.7/n p51.9+p26.128+d12/n maintain p12.31/b maintain d51/b d12/n d12/b sync d12/s \
         maintain reopen job d51/b maintain",
    );
}
