//! Tables against a sorted map, on the simulated disk.

mod crash;
mod damage;
mod fixture;
mod gets;
mod limits;
mod merging;
mod model;
mod opening;
mod runs;
mod salvage;
mod scans;
