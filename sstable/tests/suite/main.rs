//! Tables against a sorted map, on the simulated disk.

mod crash;
mod damage;
mod fixture;
mod gets;
mod opening;
mod scans;
