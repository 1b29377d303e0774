//! `voicefleet bench`: a load generator that tells the truth. Paced by absolute deadlines whatever the worker does, it measures itself
//! too, and a step in which it was late itself counts for nothing.
//!
//! - `sound`, `ear`, `echo`, `spoil`, `knee`, `gate`, `limits`, `spread`, `counts`, `ws_frame`: what callers say and hear, and how it is judged; pure.
//! - `load`, `rtp_load`, `net`, `air`, `relay`, `ws_load`, `askers`: the generator's threads and their sockets, and a bad network.
//! - `worker`, `run`, `calibrate`: the worker under load, the run, and what the machine carries.
//! - `report`, `table`, `recordings`: what came of it.

mod air;
mod args;
mod askers;
mod calibrate;
mod counts;
mod ear;
mod echo;
mod gate;
mod knee;
mod limits;
mod load;
mod net;
mod recordings;
mod relay;
mod report;
mod rtp_load;
mod run;
mod sound;
mod spoil;
mod spread;
mod table;
mod worker;
mod ws_frame;
mod ws_load;

pub use args::{Baseline, BenchArgs, PlanArgs, SpoilArgs};
pub use calibrate::{Calibrated, Proof, calibrate};
pub use gate::{Gate, Outcome, Verdict};
pub use limits::Limit;
pub use recordings::{Recordings, swapped_pair};
pub use report::{Cost, Own, Planted, Quantiles, Report, Step, Traffic};
pub use run::{BenchError, Target, run};
pub use spoil::Impairment;
pub use worker::{WorkerArgs, WorkerError, serve};
pub use ws_load::Direction;
