//! A carrier's coefficients by damped Gauss-Newton: the least change of a pair's coefficients that makes PoseNet say of it what it
//! says of the original.
//!
//! Six outputs, a dozen coefficients: the outputs can be met. All that counts is measured through the metric's own chain, on the
//! frame that `inflate` gives, rounding included: the slopes too, as differences, so that any PoseNet that can be run can be solved for.
//! Nothing is taken that does not bring the pose nearer.
//!
//! - [`Solver`]: solves samples of a representation, whole clips with [`Solver::all`].
//! - [`widen`]: room on the coefficients' grids, before the first solution.

mod error;
mod lattice;
mod solver;
mod widen;

pub use error::SolveError;
pub use solver::{Pose, Solver};
pub use widen::widen;
