//! The binary `kvbench`: the harness with the engines of this workspace.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    bench_harness::main(&[])
}
