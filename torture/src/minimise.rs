//! Making a failing script short: steps are dropped, many at a time at first, for as long as it still fails.

use crate::script::Script;

/// How many shorter scripts are tried. A shorter line is a convenience and must not cost more than the search did.
const ATTEMPTS: usize = 600;

/// The shortest script found that still fails, and how it fails. `fails` says how a script fails, if it does.
pub(crate) fn minimise(
    script: &Script,
    what: String,
    mut fails: impl FnMut(&Script) -> Option<String>,
) -> (Script, String) {
    let (mut best, mut best_what) = (script.clone(), what);
    let mut attempts = 0;
    let mut chunk = best.0.len() / 2;
    while chunk > 0 && attempts < ATTEMPTS {
        let mut at = 0;
        while at < best.0.len() && attempts < ATTEMPTS {
            attempts += 1;
            let mut shorter = best.clone();
            shorter.0.drain(at..(at + chunk).min(best.0.len()));
            if let Some(what) = fails(&shorter) {
                (best, best_what) = (shorter, what);
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    assert!(best.0.len() <= script.0.len(), "steps are only dropped");
    (best, best_what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_steps_that_matter_are_left() {
        let script: Script = "sync p1.2/s drain get.1 job d1/b sync kill".parse().unwrap();
        let both = |script: &Script| {
            let text = script.to_string();
            (text.contains("p1.2/s") && text.contains("kill")).then(|| "both".to_string())
        };
        let (short, what) = minimise(&script, "both".into(), both);
        assert_eq!((short.to_string().as_str(), what.as_str()), ("p1.2/s kill", "both"));
    }
}
