//! Tells the manifest of a run what the harness was built with.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.unwrap_or_default();
    let variable = |name| env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=KVBENCH_RUSTC={}", version.trim());
    println!("cargo::rustc-env=KVBENCH_PROFILE={}", variable("PROFILE"));
    println!("cargo::rustc-env=KVBENCH_TARGET={}", variable("TARGET"));
    println!("cargo::rerun-if-changed=build.rs");
}
