//! The workloads that can be run: the built-in ones and those of the user's files.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Workload, file};
use crate::failure::{Failure, Outcome};
use crate::{input, pattern};

/// The built-in files, in the order in which they are listed and run.
const BUILT_IN: [(&str, &str); 5] = [
    ("ycsb.toml", include_str!("../../workloads/ycsb.toml")),
    ("real.toml", include_str!("../../workloads/real.toml")),
    ("sync.toml", include_str!("../../workloads/sync.toml")),
    ("peers.toml", include_str!("../../workloads/peers.toml")),
    ("db_bench.toml", include_str!("../../workloads/db_bench.toml")),
];

/// All known workloads.
#[derive(Debug)]
pub(crate) struct Catalog {
    workloads: Vec<(String, Workload)>,
}

impl Catalog {
    /// The built-in workloads.
    pub(crate) fn built_in() -> Outcome<Self> {
        let mut catalog = Self { workloads: Vec::new() };
        for (name, text) in BUILT_IN {
            catalog.add(file::parse(name, text)?);
        }
        Ok(catalog)
    }

    /// Adds the workloads of a user's file and returns their names. A known name is replaced.
    pub(crate) fn add_file(&mut self, path: &Path) -> Outcome<Vec<String>> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read workload file {}: {error}", path.display()))
        })?;
        let mut added = file::parse(&path.display().to_string(), &text)?;
        for workload in added.values_mut() {
            workload.input = workload.input.take().map(|input| beside(path, input));
        }
        let names = added.keys().cloned().collect();
        self.add(added);
        Ok(names)
    }

    fn add(&mut self, added: BTreeMap<String, Workload>) {
        for (name, workload) in added {
            self.workloads.retain(|(known, _)| *known != name);
            self.workloads.push((name, workload));
        }
        let names: std::collections::BTreeSet<_> =
            self.workloads.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), self.workloads.len(), "a name stands for one workload");
    }

    /// Every workload with its name.
    pub(crate) fn all(&self) -> &[(String, Workload)] {
        &self.workloads
    }

    /// The workloads that `selectors` (names, globs, `@group`) name, in the order of the catalog.
    pub(crate) fn select(&self, selectors: &[String]) -> Outcome<Vec<(String, Workload)>> {
        for selector in selectors {
            if !self.workloads.iter().any(|entry| matches(selector, entry)) {
                let groups =
                    self.workloads.iter().filter_map(|(_, workload)| workload.group.as_ref());
                let groups: Vec<_> = groups.map(|group| format!("@{group}")).collect();
                let group = format!("@{selector}");
                if groups.contains(&group) {
                    let text = format!("\"{selector}\" is a group of workloads; write {group}");
                    return Err(Failure::usage(text));
                }
                let names = self.workloads.iter().map(|(name, _)| name.as_str());
                let known = names.chain(groups.iter().map(String::as_str));
                return Err(Failure::usage(crate::suggest::unknown("workload", selector, known)));
            }
        }
        let chosen = |entry: &&(String, Workload)| selectors.iter().any(|s| matches(s, entry));
        Ok(self.workloads.iter().filter(chosen).cloned().collect())
    }
}

/// The input that the workload file at `path` calls `input`: a relative path begins at the folder of the file.
fn beside(path: &Path, input: String) -> String {
    if input::is_built_in(&input) {
        return input;
    }
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    folder.join(&input).into_os_string().into_string().unwrap_or(input)
}

fn matches(selector: &str, (name, workload): &(String, Workload)) -> bool {
    match selector.strip_prefix('@') {
        Some(group) => workload.group.as_deref() == Some(group),
        None => pattern::matches(selector, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_workload_is_sound() {
        let catalog = Catalog::built_in().unwrap();
        assert!(catalog.all().len() > 20);
        assert!(catalog.select(&["@ycsb".into()]).unwrap().len() == 6);
    }

    #[test]
    fn a_relative_input_begins_at_the_folder_of_its_workload_file() {
        let file = Path::new("mine/own.toml");
        assert_eq!(beside(file, "data/log.csv".into()), "mine/data/log.csv");
        assert_eq!(beside(file, "/data/log.csv".into()), "/data/log.csv");
        assert_eq!(beside(file, "wordnet".into()), "wordnet");
        assert_eq!(beside(Path::new("own.toml"), "log.csv".into()), "log.csv");
    }

    #[test]
    fn an_unknown_workload_gets_a_suggestion() {
        let failure = Catalog::built_in().unwrap().select(&["ycbs-a".into()]).unwrap_err();
        assert_eq!(failure.text, "unknown workload \"ycbs-a\"; did you mean \"ycsb-a\"?");
        let failure = Catalog::built_in().unwrap().select(&["ycsb".into()]).unwrap_err();
        assert_eq!(failure.text, "\"ycsb\" is a group of workloads; write @ycsb");
    }
}
