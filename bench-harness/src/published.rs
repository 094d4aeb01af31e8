//! `kvbench table`: the tables of finished runs in the README.
//!
//! Runs to show are committed under `results/published/`, with their rows and manifests. The README has the table that
//! this command prints for them; a test holds the two together.

use std::path::PathBuf;

use crate::failure::Outcome;
use crate::output;
use crate::report::{FinishedRun, render_peers};

/// Prints the tables of the runs in `folders`.
pub(crate) fn table(folders: &[PathBuf]) -> Outcome<()> {
    output::result(&render(folders)?);
    Ok(())
}

fn render(folders: &[PathBuf]) -> Outcome<String> {
    let runs = folders.iter().map(|folder| FinishedRun::read(folder));
    Ok(render_peers(&runs.collect::<Outcome<Vec<_>>>()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- peers:begin -->\n";
    const END: &str = "<!-- peers:end -->";
    const NOTHING_YET: &str = "No run is published yet.\n";

    fn published() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/published");
        let entries = folder.read_dir().into_iter().flatten();
        let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.join("manifest.json").exists());
        folders.sort();
        folders
    }

    #[test]
    fn the_readme_shows_the_published_runs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).unwrap();
        let (shown, after) = rest.split_once(END).unwrap();
        let folders = published();
        let expected =
            if folders.is_empty() { NOTHING_YET.into() } else { render(&folders).unwrap() };
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        } else {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_folder_that_no_run_left_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        assert!(render(&[folder.path().into()]).unwrap_err().text.contains("manifest.json"));
        std::fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        let text = render(&[folder.path().into()]).unwrap_err().text;
        assert!(text.contains("is not what a run leaves") && !text.contains('\n'), "{text}");
    }
}
