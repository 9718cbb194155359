//! A carrier's coefficients by damped Gauss-Newton: the least change of a pair's coefficients that makes PoseNet say of it what it
//! says of the original.
//!
//! Six outputs, a dozen coefficients: the outputs can be met. All that counts is measured through the metric's own chain, on the
//! frame that `inflate` gives, rounding included: the slopes too, as differences, so that any PoseNet that can be run can be
//! solved for. Nothing is taken that does not bring the pose nearer.
//!
//! - [`Solver`]: solves samples of a representation, whole clips with [`Solver::all`].
//! - [`widen`]: room on the coefficients' grids, before the first solution.
//!
//! ```
//! use solve::{Solver, widen};
//!
//! let bytes = std::fs::read(testdata::asset_of("codec/archive", "version-4.bin"))?;
//! let representation = widen(archive::decode(&bytes)?)?;
//! let originals = []; // what the evaluators say of each sample of the original
//! let solver = Solver::new(&representation, &originals)?.expect("it has a carrier");
//! # struct Nobody;
//! # impl metric::PerceptionStack for Nobody {
//! #     fn identity(&self) -> metric::StackIdentity { unreachable!() }
//! #     fn classes(&mut self, _: &frames::Planes) -> Result<Vec<u8>, metric::StackError> { unreachable!() }
//! #     fn pose(&mut self, _: [&frames::Planes; 2]) -> Result<[f32; 6], metric::StackError> { unreachable!() }
//! # }
//! # let mut evaluators = Nobody;
//! let mut solved = representation.clone();
//! let pose = solver.all(&mut solved, &mut evaluators, |_sample| true)?;
//! assert_eq!(solved, representation, "nothing to solve for");
//! # assert!(pose.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod lattice;
mod solver;
mod widen;

pub use error::SolveError;
pub use solver::{Pose, Solver};
pub use widen::widen;
