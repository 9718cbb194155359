//! The searches of `hnerv encode`: to their end or for some minutes, with progress; Ctrl-C keeps them, and the same command goes on.

use anyhow::Context;
use cli::Progress;
use encode::{MapSearch, MapSearchState, Original, ResumeError, Saved, Search, SearchFile, SearchState, Steps};
use repr::Representation;

/// What a search was kept as, if it was interrupted.
pub enum Kept {
    /// One for corrections of samples.
    Corrections(Option<Box<SearchState>>),
    /// One over class maps.
    Maps(Option<Box<MapSearchState>>),
}

impl Kept {
    /// What `file` holds, of a search over class `maps` or of one for corrections.
    pub fn read(file: &SearchFile, maps: bool) -> Result<Self, ResumeError> {
        Ok(if maps { Self::Maps(file.read()?.map(Box::new)) } else { Self::Corrections(file.read()?.map(Box::new)) })
    }
}

/// A search that was asked for.
pub struct Job<'a> {
    /// Where it is kept.
    pub file: &'a SearchFile,
    /// How long it may take.
    pub minutes: Option<f64>,
}

impl Job<'_> {
    /// The representation that `start` makes with corrections of single samples, searched in so many passes at the exchange rate
    /// `lambda`.
    pub fn corrections(
        &self,
        saved: Option<Box<SearchState>>,
        start: impl FnOnce(&mut Original) -> anyhow::Result<Representation>,
        original: &mut Original,
        (curvature, lambda, passes): (&[f64], f64, usize),
    ) -> anyhow::Result<Representation> {
        let start = match &saved {
            Some(state) => state.representation().clone(),
            None => start(original)?,
        };
        let (dataset, judge) = original.judge(lambda).context("corrections need --original CLIP")?;
        let mut search = Search::new(&start, curvature, dataset, judge, passes)?;
        let state = self.state(&search, saved, |search| search.begin())?;
        let count = |state: &SearchState| state.representation().sidecar.corrections().len();
        let state = self.run(&mut search, state, |search, state| {
            format!("{:.5} without the bytes, {} corrections", search.cost(state), count(state))
        })?;
        Ok(state.representation().clone())
    }

    /// The representation that `start` makes with edits of its class maps.
    pub fn maps(
        &self,
        saved: Option<Box<MapSearchState>>,
        start: impl FnOnce(&mut Original) -> anyhow::Result<Representation>,
        original: &mut Original,
    ) -> anyhow::Result<Representation> {
        let start = match &saved {
            Some(state) => state.start().clone(),
            None => start(original)?,
        };
        let (dataset, judge) = original.judge(0.0).context("--search needs --original CLIP")?;
        let mut search = MapSearch::new(&start, dataset, judge, encode::solving(&start, dataset)?)?;
        let state = self.state(&search, saved, |_| MapSearch::begin(&start))?;
        let mut state = self.run(&mut search, state, |search, state| {
            format!("{:.5} without the bytes, {} edits", search.cost(state), state.edits())
        })?;
        search.settle(&mut state)?;
        Ok(state.representation().clone())
    }

    /// Where the search goes on, or begins: kept at once, as the way there took its time too.
    fn state<S: Steps>(
        &self,
        search: &S,
        saved: Option<Box<S::State>>,
        begin: impl FnOnce(&S) -> S::State,
    ) -> anyhow::Result<S::State> {
        if let Some(state) = saved {
            cli::say(format_args!("search: goes on behind step {} of {}", state.finished(), search.steps()));
            return Ok(*state);
        }
        let state = begin(search);
        self.file.write(&state)?;
        Ok(state)
    }

    /// Searches to the end, or until the time is up; an error, and the search kept, after Ctrl-C.
    fn run<S: Steps>(
        &self,
        search: &mut S,
        mut state: S::State,
        describe: impl Fn(&S, &S::State) -> String,
    ) -> anyhow::Result<S::State> {
        let seconds = self.minutes.map_or(f64::INFINITY, |minutes| 60.0 * minutes);
        let total = if seconds.is_finite() { seconds.ceil() as u64 } else { search.steps() as u64 };
        let mut progress = Progress::new("search", total);
        let mut finished = true;
        if state.seconds() < seconds {
            finished = self.file.finish(search, &mut state, |search, state| {
                let done = if seconds.is_finite() { state.seconds() as u64 } else { state.finished() as u64 };
                progress.set(done.min(total), || describe(search, state));
                !cli::interrupted() && state.seconds() < seconds
            })?;
        }
        if !finished && cli::interrupted() {
            let path = self.file.path().display();
            cli::say(format_args!("search: stopped, kept in {path}; the same command goes on"));
            return Err(cli::Interrupted.into());
        }
        progress.finish(describe(search, &state));
        Ok(state)
    }
}
